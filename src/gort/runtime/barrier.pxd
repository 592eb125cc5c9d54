cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport RETURN, YIELD, install_slots, lock, mutex, sealed, store, unlock
from .gmp cimport P, WDONE
from .park cimport gopark
from .sema cimport Semop, Waitq, readyall

@cython.final
cdef class Barrier:
    cdef int64_t n
    cdef int64_t arrived
    cdef mutex mu
    cdef Waitq q
    cdef object __weakref__
    cdef int arrive(self, Barrierop op)
    @cython.locals(op=Semop, first=Semop)
    cdef Semop depart(self)
    @cython.locals(op=Semop, n=int64_t)
    cdef void renumber(self)

@cython.no_gc
cdef class Barrierop(Semop):
    cdef Barrier b
    cdef str opname(self)
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    @cython.locals(b=Barrier)
    cdef void unqueue(self) noexcept

cdef void setbarrier(Barrierop op, Barrier b)
cdef int64_t parties(object n) except -1
