cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (RAISE, RETURN, STOPASYNC, YIELD, cheaprandn, install_slots, lock, poolops,
                                store, unlock)
from .chan cimport AGAIN, Chan, Chanop, KSEND, tryrecv, trysend
from .gmp cimport G, M, OPNEW, P, WPENDING, WREADY
from .park cimport Op

cdef extern from "native.h":
    Select poolget "gort_poolget"()

cdef class Select(Op):
    cdef tuple cases
    cdef list order
    cdef bint hasdefault
    cdef void reset(self) noexcept
    @cython.locals(sg=Chanop, order=list, i=Py_ssize_t)
    cdef int start(self, P pp) noexcept
    @cython.locals(sg=Chanop, c=Chan, n=Py_ssize_t, j=Py_ssize_t)
    cdef int look(self, list order, P pp) noexcept
    @cython.locals(sg=Chanop)
    cdef int finish(self) noexcept
    @cython.locals(sg=Chanop, c=Chan, order=list, i=Py_ssize_t)
    cdef void unqueue(self) noexcept
    cdef int chosen(self, Chanop sg, int code) noexcept

@cython.locals(sg=Chanop, last=Chan, i=Py_ssize_t)
cdef void sellock(list order) noexcept
@cython.locals(sg=Chanop, last=Chan, i=Py_ssize_t)
cdef void selunlock(list order) noexcept
@cython.locals(op=Select)
cdef Select newselect()
@cython.locals(sg=Chanop, i=Py_ssize_t)
cdef void takecase(Chanop op, int32_t index, list order) except *
@cython.locals(sg=Chanop, i=Py_ssize_t)
cdef void untake(list order) noexcept
