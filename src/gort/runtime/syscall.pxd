cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (install_slots, RAISE, RETURN, YIELD, add, cas, getm, load, lock, noteclear,
                                notesleep, nanotime, store, store_rel, unlock)
from .gmp cimport (ALOSTP, G, M, OPDONE, OPNEW, OPYIELDED, P, PSTATE, Pidle, Psyscall, Sched,
                   WCANCELLED, WPENDING, WREADY, sched)
from .machine cimport claim, handoffp, reclaim, release, stale
from .park cimport Gosched, Op, Threadwaiter, cancelexc
from .proc cimport join

cdef void entersyscall(M mp) noexcept
@cython.locals(pp=P)
cdef bint exitsyscall(M mp)
@cython.locals(pp=P)
cdef void entersyscallblock(M mp)

cdef class Syscall(Op):
    cdef object fn
    cdef tuple args
    cdef dict kwargs
    cdef int call(self, M mp) noexcept
    @cython.locals(mp=M)
    cdef int step(self) noexcept

cdef class Enterblock(Op):
    @cython.locals(mp=M)
    cdef int step(self) noexcept

cdef class Exitblock(Op):
    @cython.locals(mp=M)
    cdef int step(self) noexcept

@cython.locals(mp=M, o=Op, tw=Threadwaiter, won=bint)
cdef object waitop(object op, object timeout)
@cython.locals(o=Op)
cdef object outcome(Op o, int code)
cdef void wakewaiter(Op op)
