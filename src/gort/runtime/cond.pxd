cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (sealed, install_slots, RAISE, RETURN, YIELD, atomic, cas, getm, load, lock, mutex, note,
                                notesleep, store, unlock)
from .chan cimport enter, leave
from .gmp cimport ALOSTP, G, M, OPDONE, OPPARKED, P, WCANCELLED, WREADY
from .machine cimport claim, release, stale
from .park cimport Op, Threadwaiter, cancelexc, gopark, opready
from .sema cimport Locker, Semop, Waitq
from .syscall cimport entersyscallblock, exitsyscall

@cython.final
cdef class Cond:
    cdef Locker locker
    cdef mutex mu
    cdef Waitq q
    cdef object __weakref__

@cython.no_gc
cdef class Condwait(Semop):
    cdef Cond c
    cdef str opname(self)
    @cython.locals(c=Cond)
    cdef int start(self, P pp) noexcept
    @cython.locals(pp=P)
    cdef int resume(self, M mp) noexcept
    @cython.locals(mp=M)
    cdef int finish(self) noexcept
    @cython.locals(c=Cond)
    cdef void unqueue(self) noexcept

@cython.locals(tw=Threadwaiter, mp=M)
cdef void threadrelock(Condwait op)
@cython.locals(pp=P)
cdef void wake(Cond c, Semop op)
@cython.locals(op=Semop, next=Semop)
cdef void signalone(Cond c)
@cython.locals(op=Semop, next=Semop)
cdef void signalall(Cond c)
@cython.locals(op=Condwait)
cdef Condwait newwait(Cond c)
