cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport RAISE, RETURN, STOPASYNC, YIELD, cas, cheaprandn, load, lock, unlock
from .chan cimport AGAIN, Chan, Chanop, tryop
from .gmp cimport G, M, OPNEW, P, WPENDING, WREADY
from .park cimport Op

cdef class Select(Op):
    cdef tuple cases
    cdef list order
    cdef bint hasdefault
    @cython.locals(sg=Chanop)
    cdef int start(self, P pp) noexcept
    @cython.locals(sg=Chanop)
    cdef int finish(self) noexcept
    @cython.locals(sg=Chanop)
    cdef void unqueue(self) noexcept
    cdef int chosen(self, Chanop sg, int code) noexcept
    @cython.locals(i=int32_t, j=int32_t)
    cdef list pollorder(self)

@cython.locals(sg=Chanop, last=Chan)
cdef void sellock(list order)
@cython.locals(sg=Chanop, last=Chan)
cdef void selunlock(list order)
cdef void takecase(Chanop op, int32_t index) except *
cdef void setsel(Chanop op, Select sel) noexcept
