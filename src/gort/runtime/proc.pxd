cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (install_slots, poolops, RAISE, RETURN, RUNQ, YIELD, add, asyncgen_hooks, callsite, cas,
                                cheaprandn, copycontext, fence, getident, getm, gocall,
                                gothrow, load, lock, nanotime, notewakeup, setm, slot, slotset, slotswap,
                                store, store_rel, swap, unlikely, unlock)
from .cleanup cimport wakecleanup
from .gm cimport matchmgandunlock
from .gcwork cimport FORCED, IDLE, findgcworker, gcdue, gcfits, gctick
from .gmp cimport (AGOSCHED, ALOSTP, ANONE, APARK, AYIELD, CREQ, OPAWAITED, OPNEW, G, GOIDBATCH, Gdead, Gidle, Grunnable, Grunning, M, P,
                   PMSHIFT, PSTATE, Pidle, Prunning, Puser, Sched, Shard, allgadd, allgdel,
                   freem, gctrack, newg, sched, throw, tupleat)
from .machine cimport (acquirep, claim, gcstopm, interrupted, lockedexit, mexit, netpollbreak, nudge, pidleget,
                       pidlegetspinning, pidleput, releasep, release, stale, startlockedm,
                       stoplockedm, stopm, wakep)
from .netpoll cimport Iowait, netpoll, readylist
from .osthread cimport droplockedg
from .park cimport Op, dropasync, gopark, opready, parkdone, ready, takeback, undowait, win
from .runq cimport (globrunqget, globrunqput, runqempty, runqget, runqlen, runqput, runqputcurg, runqsteal)
from .timers cimport checktimers

cdef extern from "spawn.h":
    M curm "gort_getm_"()
    G takenext "gort_slotswap"(slot s, object o)
    int gogo "gort_gogo"(M mp) noexcept
    void keeptstate "gort_keeptstate"() noexcept
    void setcurg "gort_setcurg"(M mp) noexcept
    G takecurg "gort_takecurg"(M mp)
    bint iscoroutinefunction "gort_iscorofn"(object fn) noexcept
    bint isasyncgenfunction "gort_isagenfn"(object fn) noexcept
    ctypedef int (*checkfn "gort_checkfn")() except -1
    ctypedef object (*spawnfn "gort_spawnfn")(object coro)
    ctypedef object (*unaryfunc)(object)
    void awaitby "gort_awaitby"(object cls, unaryfunc fn) noexcept
    Join poolget "gort_poolget"()
    Join moved "gort_moved"(Join v)
    G movedg "gort_moved"(G v)
    object slottake "gort_slottake"(slot s)
    object nameof "gort_nameof"(object what)
    object tracebackof "gort_tracebackof"(object exc)
    void settraceback "gort_settraceback"(object exc, object tb) noexcept
    object gort_fastgo(object slow, const char* sig, checkfn check, spawnfn spawn)

cdef inline object fastgo(object slow):
    """gort.go for coroutine functions without a tuple and a dict of the arguments."""
    return gort_fastgo(slow, b"(fn, /, *args, **kwargs)", needup, newcoro)

cdef enum:
    STEALTRIES = 4
    GIVEUPSTOP = 0
    GIVEUPAGAIN = 1

@cython.locals(gp=G)
cdef void schedule(M mp)
@cython.locals(pp=P)
cdef bint findrunnable(M mp)
cdef bint findlocal(M mp, P pp)
@cython.locals(polled=int64_t)
cdef bint pollnow(P pp)
@cython.locals(gp=G)
cdef void endslice(P pp)
@cython.locals(gp=G)
cdef G globalrunq(P pp, int64_t max)
@cython.locals(room=int64_t, gp=G)
cdef void pullglobal(P pp) noexcept
@cython.locals(gp=G, p2=P, i=int64_t, n=int64_t, pos=int64_t, w=int64_t)
cdef G stealwork(M mp, P pp)
@cython.locals(now=int64_t)
cdef G idlegc()
@cython.locals(pp=P, gp=G, wasspinning=bint, until=int64_t)
cdef int giveup(M mp, P pp)
@cython.locals(p2=P, now=int64_t, i=int64_t)
cdef void runtimers(P mine)
@cython.locals(p2=P)
cdef P checkrunqs()
@cython.locals(p2=P, w=int64_t)
cdef int64_t checktimersnop()
@cython.locals(pp=P, ns=int64_t, again=int64_t, now=int64_t, list_=Iowait)
cdef bint pollblocking(M mp, int64_t until, bint wasspinning)
cdef void becomespinning(M mp) noexcept
cdef void resetspinning(M mp) noexcept
@cython.locals(gp=G, code=int)
cdef int execute(M mp)
@cython.locals(what=tuple)
cdef int callplain(M mp)
@cython.locals(pp=P, locked=bint)
cdef bint goexit0(M mp, int code)
@cython.locals(op=Join, next=Join, pp=P)
cdef void wakejoiners(M mp, Join op)
cdef int64_t nextgoid(P pp) noexcept
cdef object foreignawait(M mp)

@cython.no_gc
cdef class Join(Op):
    cdef G target
    cdef Join next
    cdef Join prev
    cdef str opname(self)
    cdef void reset(self) noexcept
    @cython.locals(gp=G, first=Join)
    cdef int start(self, P pp) noexcept
    @cython.locals(gp=G)
    cdef int finish(self) noexcept
    @cython.locals(gp=G, next=Join, prev=Join)
    cdef void unqueue(self) noexcept

@cython.locals(gp=G)
cdef G newproc(object fn, tuple args, dict kwargs)
@cython.locals(gp=G)
cdef object newcoro(object coro)
@cython.locals(mp=M, pp=P, up=bint)
cdef int newproc2(G gp) except -1
cdef bint startglobal(G gp) noexcept
cdef void enlist(G gp, P pp) noexcept
@cython.locals(mp=M)
cdef void setorigin(G gp) noexcept
cdef int needup() except -1
cdef int notup() except -1
cdef int endedearly(G gp) except -1
@cython.locals(gp=G)
cdef G newmain(object fn, tuple args, M m0)
@cython.locals(gp=G)
cdef G newproc1(object fn, tuple args, dict kwargs)
@cython.locals(gp=G)
cdef G makeg(object fn, tuple args, dict kwargs)
cdef bint start(G gp, P pp) noexcept
cdef void borncancelled(G gp)
@cython.locals(mp=M, pp=P, up=bint)
cdef void startidle(G gp)
cdef void endidle(G gp, object exc)
@cython.locals(joinq=Join)
cdef void publish(M mp, G gp, object value, int code) noexcept
@cython.locals(shard=Shard, n=int64_t, i=int64_t)
cdef int64_t gcount()
cdef bint goschedimpl(M mp, G gp, int action)
cdef void globput(G gp)
cdef bint startcoro(G gp, M mp)
cdef object mp_result(M mp)
cdef bint swap_lastpoll()
cdef void checkcallable(object fn) except *
@cython.locals(op=Join)
cpdef object join(G gp)
cdef tuple NOLOOP
cdef str WAYOUT
@cython.locals(op=Join)
cdef object joing(object gp)
cdef bint inuser(M mp)
@cython.locals(pp=P)
cpdef void mstart(M mp)
cpdef void mthread(M mp)
