cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (install_slots, poolops, sealed, RAISE, RETURN, YIELD, add, cas, getm, load, lock, noteclear,
                                notesleep, nanotime, setm, store, store_rel, unlock)
from .gmp cimport (AGOSCHED, ALOSTP, ANONE, G, M, OPAWAITED, OPDONE, OPNEW, OPYIELDED, P, PSTATE, Pidle, Psyscall, Sched,
                   WCANCELLED, WDONE, WPENDING, WREADY, sched)
from .gm cimport gmentersyscall
from .machine cimport claim, handoffp, interrupted, release, stale
from .park cimport Gosched, Op, Threadwaiter, cancelexc, delist, enlist, excuse, undowait, wakewaiter
from .proc cimport join

cdef extern from "call.h":
    Syscall poolget "gort_poolget"()
    Syscall moved "gort_moved"(Syscall v)
    ctypedef object (*callfn "gort_callfn")(object fn, object args)
    object gort_fastcall(object slow, const char* name, callfn call)

cdef inline object fastsyscall(object slow):
    return gort_fastcall(slow, b"syscall", newcall)

@cython.locals(op=Syscall)
cdef Syscall newsyscall(object fn, tuple args)
cdef object newcall(object fn, object args)
cdef void entersyscall(M mp) noexcept
@cython.locals(pp=P)
cdef bint exitsyscall(M mp)
@cython.locals(pp=P)
cdef void entersyscallblock(M mp)

@cython.no_gc
cdef class Syscall(Op):
    cdef object fn
    cdef tuple args
    cdef dict kwargs
    cdef str opname(self)
    cdef int call(self, M mp) noexcept
    cdef void reset(self) noexcept
    @cython.locals(mp=M, back=bint)
    cdef int step(self) noexcept

@cython.no_gc
cdef class Enterblock(Op):
    cdef str opname(self)
    @cython.locals(mp=M)
    cdef int step(self) noexcept

@cython.no_gc
cdef class Exitblock(Op):
    cdef str opname(self)
    @cython.locals(mp=M)
    cdef int step(self) noexcept

@cython.final
cdef class Blocking:
    pass

cdef bint waitsleep(M mp, Op o, Threadwaiter tw, int64_t ns)
@cython.locals(deadline=int64_t, left=int64_t)
cdef bint waitloop(M mp, Op o, Threadwaiter tw, int64_t ns)
cdef void withdraw(Op o, Threadwaiter tw)
@cython.locals(mp=M, gp=G, o=Op, tw=Threadwaiter, ns=int64_t, code=int)
cdef object waitop(object op, object timeout)
@cython.locals(o=Op)
cdef object outcome(Op o, int code)
