cimport cython
from libc.stdint cimport int8_t, int32_t, int64_t

from ..platform.native cimport (install_slots, poolops, RAISE, RETURN, YIELD, Awaitable, add, atomic, cas, getm, load, lock,
                                nanotime, note, noteclear, notesleep, notewakeup, raiseasync, slotswap, store, swap, store_rel,
                                unlikely, unlock, usleep)
from .gm cimport gmready
from .gmp cimport (AGOSCHED, ALOSTP, ANONE, APARK, AYIELD, CTHROW, G, Gparking, Gparkready, Grunnable, Grunning,
                   Gscan, Gwaiting, M, OPDONE, OPAWAITED, OPEXCUSED, OPNEW, OPPARKED, OPYIELDED, P, Sched, WCANCELLED, WDONE,
                   WPENDING, WREADY, sched, throw)
from .machine cimport checkdead, claim, release, stale, wakep
from .runq cimport globrunqput, runqput

cdef extern from "call.h":
    M curm "gort_getm_"()
    Gosched poolget "gort_poolget"()
    Gosched moved "gort_moved"(Gosched v)
    ctypedef object (*makefn "gort_makefn")()
    object gort_fastgosched(object slow, makefn make)
    void gort_goschedslots(object cls) noexcept

cdef extern from "op.h":
    void* opvtab "__pyx_vtabptr_4gort_7runtime_4park_Op"
    void gort_checkop(Op op, M mp, G gp, P pp) noexcept
    void gort_checklines(Sched s, M mp, G gp, P pp) noexcept
    void gort_checkoptab(void* vtab) noexcept
    void gort_checkstates(int new, int parked, int done, int yielded, int awaited, int excused,
                          int ready, int apark, int agosched, int ayield, int parking) noexcept
    void gort_gopark(Op op, int8_t reason) noexcept

cdef inline void checkop() noexcept:
    """What C knows of an op: else it does not compile."""
    gort_checkop(<Op>None, <M>None, <G>None, <P>None)
    gort_checklines(<Sched>None, <M>None, <G>None, <P>None)
    gort_checkoptab(opvtab)
    gort_checkstates(OPNEW, OPPARKED, OPDONE, OPYIELDED, OPAWAITED, OPEXCUSED, WREADY, APARK, AGOSCHED, AYIELD, Gparking)

cdef inline void gopark(Op op, int8_t reason) noexcept:
    gort_gopark(op, reason)

cdef inline object fastgosched(object slow):
    return gort_fastgosched(slow, newgosched)

cdef inline void goschedslots(type cls) noexcept:
    gort_goschedslots(cls)

cdef class Threadwaiter:
    cdef note n
    cdef G g
    cdef bint timed
    cdef void idle(self)
    cdef void wake(self)

@cython.no_gc
cdef class Op(Awaitable):
    cdef atomic won
    cdef G g
    cdef Threadwaiter tw
    cdef int32_t state
    cdef int32_t code
    @cython.locals(mp=M, pp=P)
    cdef int step(self) noexcept
    cdef void reset(self) noexcept
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    @cython.locals(won=int64_t)
    cdef int resume(self, M mp) noexcept
    @cython.final
    cdef int outside(self) noexcept
    @cython.final
    cdef int refuse(self, object exc) noexcept
    @cython.final
    cdef int nop(self, M mp) noexcept
    @cython.final
    cdef int reused(self) noexcept
    @cython.final
    @cython.locals(gp=G)
    cdef int lost(self, M mp, int64_t won) noexcept
    cdef void unqueue(self) noexcept
    cdef int fail(self, object exc) noexcept
    @cython.final
    cdef int foreign(self, M mp, G gp) noexcept
    cdef str opname(self)
    @cython.final
    cdef str how(self)

cdef void wakewaiter(Op op, Threadwaiter tw)
cdef Threadwaiter winthread(Op op, Threadwaiter tw)
cdef void enlist(Op op, Threadwaiter tw) except *
cdef void delist(Op op, Threadwaiter tw) except *
cdef bint win(Op op) noexcept
cdef void opready(Op op, P pp, bint next) noexcept
cdef void goready(G gp, P pp, bint next) noexcept
@cython.locals(s=int64_t)
cdef bint castogrunnable(G gp) noexcept
cdef void ready(G gp, P pp, bint next) noexcept
cdef bint parkdone(G gp) noexcept
cdef bint parkready(G gp) noexcept
@cython.locals(mp=M, tw=Threadwaiter, won=bint, found=tuple)
cdef void interrupt(G gp)
@cython.locals(op=Op)
cdef bint winwait(G gp)
cdef void takeback(M mp)
@cython.locals(mp=M)
cdef object cancelexc(G gp)
cdef void throwmain(G gp, object exc)
cdef void dropasync()
@cython.locals(o=Op)
cdef object excuse(object op)
@cython.locals(gp=G, op=Op)
cdef bint undowait(M mp) noexcept

@cython.locals(op=Gosched)
cdef object newgosched()

@cython.no_gc
cdef class Gosched(Op):
    cdef int step(self) noexcept
    @cython.locals(mp=M)
    cdef int firststep(self) noexcept
    @cython.locals(mp=M)
    cdef int start(self, P pp) noexcept
    @cython.final
    cdef int goyield(self, M mp) noexcept
