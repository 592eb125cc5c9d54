cimport cython
from libc.stdint cimport int8_t, int64_t

from ..platform.native cimport (install_slots, RETURN, Awaitable, atomic, cas, getm, load, lock, mutex, nanotime,
                                store, uncounted, unlock)
from .gmp cimport G, P, WPENDING, WREADY
from .park cimport Op, gopark, opready

@cython.no_gc
cdef class Semop(Op):
    cdef Semop next
    cdef Semop prev
    cdef Waitq q
    cdef int64_t ticket
    cdef int8_t requeued
    cdef int8_t granted
    cdef int8_t reader
    cdef int8_t cancelled
    cdef int8_t onthread
    cdef void reset(self) noexcept
    cdef bint wins(self)

@cython.final
cdef class Waitq:
    cdef Semop first
    cdef Semop last
    cdef void push(self, Semop op)
    cdef void pushfront(self, Semop op)
    cdef bint remove(self, Semop op)
    @cython.locals(op=Semop)
    cdef Semop take(self)
    @cython.locals(op=Semop, first=Semop, last=Semop)
    cdef Semop takeall(self)

@cython.locals(next=Semop)
cdef int64_t chainlen(Semop op)
@cython.locals(next=Semop)
cdef void readyall(Semop op, P pp)

cdef void requeue(Waitq q, Semop op, int reason, bint park)

cdef class Locker:
    cdef bint held(self)
    cdef void drop(self, P pp)
    cdef bint relock(self, Semop op, bint park)

@cython.no_gc
cdef class Passed(Awaitable):
    pass

cdef Passed passed
