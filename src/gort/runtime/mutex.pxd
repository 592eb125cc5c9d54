cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (sealed, install_slots, poolops, RETURN, YIELD, atomic, cas, getm, load, lock as mlock, mutex, nanotime, store,
                                unlock as munlock, withfn, withmethods)
from .chan cimport enter, leave
from .gmp cimport ALOSTP, G, M, OPAWAITED, OPDONE, OPNEW, OPPARKED, P, Sched, WPENDING, WREADY, sched
from .machine cimport claim, release, stale
from .park cimport Op, gopark, opready
from .sema cimport Locker, Passed, Semop, Waitq, passed, requeue

cdef extern from "op.h":
    Lockop poolget "gort_poolget"()
    Lockop moved "gort_moved"(Lockop v)
    M curm "gort_getm_"()

cdef inline int fastwith() except -1:
    return withmethods(Mutex, <withfn>newlock, <withfn>leaveblock)

cdef enum:
    LOCKED = 1
    WAITERS = 2

cdef class Mutex(Locker):
    cdef atomic state
    cdef mutex mu
    cdef Waitq q
    cdef int64_t woken
    cdef bint starving
    cdef object __weakref__
    @cython.locals(s=int64_t)
    cdef bint grab(self)
    cdef int lockslow(self, Lockop op)
    cdef int lockagain(self, Lockop op)
    cdef bint unlockslow(self, P pp)
    @cython.locals(op=Semop)
    cdef Semop handoff(self)
    @cython.locals(s=int64_t)
    cpdef bint try_lock(self)
    cdef bint held(self)
    cdef void drop(self, P pp)
    cdef bint relock(self, Semop op, bint park)

@cython.no_gc
cdef class Lockop(Semop):
    cdef Mutex m
    cdef str opname(self)
    cdef void reset(self) noexcept
    @cython.locals(mp=M)
    cdef int step(self) noexcept
    @cython.locals(m=Mutex)
    cdef int start(self, P pp) noexcept
    @cython.locals(m=Mutex)
    cdef void unqueue(self) noexcept
    @cython.locals(pp=P, code=int)
    cdef int resume(self, M mp) noexcept

@cython.locals(op=Lockop)
cdef Lockop newlock(Mutex m)
cdef object leaveblock(Mutex m)
@cython.locals(pp=P)
cdef void unlockmutex(Mutex m) except *
