cimport cython

from ..platform.native cimport (sealed, install_slots, RETURN, YIELD, Awaitable, atomic, cas, getm, load, lock, mutex, store,
                                unlock)
from .gmp cimport G, M, P
from .park cimport Op, gopark
from .sema cimport Semop, Waitq
from .semaphore cimport readychain

cdef enum:
    FRESH = 0
    RUNNING = 1
    DONE = 2

@cython.final
cdef class Once:
    cdef atomic state
    cdef mutex mu
    cdef Waitq q
    cdef G runner
    cdef object value
    cdef object __weakref__
    @cython.locals(mp=M)
    cdef bint begin(self)
    @cython.locals(mp=M)
    cdef bint mine(self)
    @cython.locals(op=Semop)
    cdef void end(self, object value)

@cython.no_gc
cdef class Oncewait(Semop):
    cdef Once once
    cdef str opname(self)
    @cython.locals(o=Once)
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    @cython.locals(o=Once)
    cdef void unqueue(self) noexcept

@cython.locals(op=Oncewait)
cdef Oncewait newoncewait(Once o)
cdef bint beginonce(Once o)
cdef bint runsonce(Once o)
cdef void endonce(Once o, object value)
