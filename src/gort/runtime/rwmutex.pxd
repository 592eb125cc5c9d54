cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (sealed, install_slots, poolops, RETURN, YIELD, atomic, cas, load, lock as mlock,
                                mutex, store, unlock as munlock, withfn, withmethods)
from .chan cimport enter, leave
from .gmp cimport P
from .park cimport Op, gopark, opready
from .sema cimport Locker, Passed, Semop, Waitq, chainlen, passed, readyall, requeue

cdef extern from "op.h":
    Rwop poolget "gort_poolget"()
    Rwop moved "gort_moved"(Rwop v)

cdef inline int fastwith() except -1:
    withmethods(RWMutex, <withfn>enterwriter, <withfn>leavewriter)
    return withmethods(RLocker, <withfn>enterreader, <withfn>leavereader)

cdef enum:
    WRITER = 0x20000000
    WAITING = 0x40000000

cdef class RWMutex(Locker):
    cdef atomic state
    cdef mutex mu
    cdef Waitq readers
    cdef Waitq writers
    cdef object __weakref__
    @cython.locals(s=int64_t)
    cpdef bint try_lock(self)
    @cython.locals(s=int64_t)
    cpdef bint try_rlock(self)
    @cython.locals(s=int64_t)
    cdef bint grab(self)
    @cython.locals(s=int64_t)
    cdef bint rgrab(self)
    cdef void settle(self, int64_t s)
    cdef int lockslow(self, Rwop op)
    cdef int rlockslow(self, Rwop op)
    @cython.locals(op=Semop)
    cdef bint unlockslow(self, P pp)
    @cython.locals(op=Semop, s=int64_t)
    cdef bint runlockslow(self, P pp)
    @cython.locals(op=Semop)
    cdef Semop admitreaders(self)
    @cython.locals(woken=Semop, s=int64_t, pp=P)
    cdef void leavequeue(self, Rwop op)
    cdef bint held(self)
    cdef void drop(self, P pp)
    cdef bint relock(self, Semop op, bint park)

cdef class RLocker(Locker):
    cdef RWMutex rw
    cdef bint held(self)
    cdef void drop(self, P pp)
    @cython.locals(rw=RWMutex)
    cdef bint relock(self, Semop op, bint park)

@cython.no_gc
cdef class Rwop(Semop):
    cdef RWMutex rw
    cdef str opname(self)
    cdef void reset(self) noexcept
    @cython.locals(rw=RWMutex, s=int64_t)
    cdef int start(self, P pp) noexcept
    cdef void unqueue(self) noexcept

@cython.locals(op=Rwop)
cdef Rwop newrwop(RWMutex rw, bint reader)
@cython.locals(pp=P)
cdef void unlockwriter(RWMutex rw) except *
@cython.locals(pp=P, s=int64_t)
cdef void unlockreader(RWMutex rw) except *
cdef Rwop enterwriter(RWMutex rw)
cdef object leavewriter(RWMutex rw)
cdef Rwop enterreader(RLocker reader)
cdef object leavereader(RLocker reader)
@cython.locals(locker=RLocker)
cdef RLocker newrlocker(RWMutex rw)
