cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (sealed, install_slots, poolops, RETURN, YIELD, atomic, cas, load, lock, mutex, store,
                                unlock, withfn, withmethods)
from .chan cimport enter, leave
from .gmp cimport P
from .park cimport Op, gopark
from .sema cimport Passed, Semop, Waitq, passed, readyall

cdef extern from "op.h":
    Acquire poolget "gort_poolget"()
    Acquire moved "gort_moved"(Acquire v)

cdef inline int fastwith() except -1:
    return withmethods(Semaphore, <withfn>enterblock, <withfn>leaveblock)

@cython.final
cdef class Semaphore:
    cdef int64_t size
    cdef atomic state
    cdef mutex mu
    cdef Waitq q
    cdef object __weakref__
    @cython.locals(s=int64_t)
    cdef bint take(self, int64_t n)
    @cython.locals(s=int64_t)
    cdef int park(self, Acquire op)
    @cython.locals(s=int64_t)
    cdef bint put(self, int64_t n)
    @cython.locals(op=Semop, s=int64_t)
    cdef bint putslow(self, int64_t n)
    @cython.locals(op=Semop, first=Semop, last=Semop)
    cdef Semop admit(self, int64_t s)

@cython.no_gc
cdef class Acquire(Semop):
    cdef Semaphore s
    cdef str opname(self)
    cdef void reset(self) noexcept
    @cython.locals(s=Semaphore)
    cdef int start(self, P pp) noexcept
    @cython.locals(s=Semaphore, op=Semop)
    cdef void unqueue(self) noexcept

cdef int64_t weight(object n, str what) except -1
@cython.locals(op=Acquire)
cdef Acquire newacquire(Semaphore s, int64_t n)
cdef object enterblock(Semaphore s)
cdef object leaveblock(Semaphore s)
cdef void giveback(Semaphore s, int64_t n) except *
@cython.locals(pp=P)
cdef void readychain(Semop op)
