cimport cython

from ..platform.native cimport sealed

from .scope cimport Enterscope, Leavescope, Scope, enter, leave

cdef class Timeout(Scope):
    cdef object verdict(self, object exc, bint own, bint outer)

cdef class Shield(Scope):
    cdef object verdict(self, object exc, bint own, bint outer)
