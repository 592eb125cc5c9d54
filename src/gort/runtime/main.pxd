cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport RAISE, RETURN, YIELD, lock, slotswap, store, unlock
from .gmp cimport G, M, Sched, sched
from .osthread cimport dolockosthread, dounlockosthread

cdef enum:
    SINIT = 0
    SMAIN = 1
    SEXIT = 2

@cython.final
cdef class Mainstate:
    cdef int stage
    cdef object coro
    cdef bint plain
    cdef int code
    cdef object value
    cdef list errors

cdef Mainstate rm

cdef void mainstart(G gp, M m0, bint trace, int64_t start) except *
cpdef int mainstage(G gp, M mp, int code) except -1
cdef int exited(M mp) except -1
