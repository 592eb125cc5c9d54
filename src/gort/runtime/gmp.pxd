cimport cython
from libc.stdint cimport int8_t, int32_t, int64_t, uint32_t

from cpython.object cimport PyObject

from ..platform.native cimport (sealed, Awaitable, Heap, Poller, add, atomic, atomic8, bindfn, callsite_of, cas, load, lock,
                                mutex, note, noteclear, onsetm, resetfn, ring, ringtake, slot, slotclear, slotset, store, store_rel,
                                uncounted, unlock)

cdef extern from "link.h":
    """
    #define gort_nextg(l) gort_linknextof(l, struct __pyx_obj_4gort_7runtime_3gmp_G, alllink)
    #define gort_takeg(q) gort_queuetakeof(q, struct __pyx_obj_4gort_7runtime_3gmp_G, schedlink)
    """
    ctypedef struct link "gort_link":
        pass
    void linkadd "gort_linkadd"(link head, link l, G owner) noexcept
    void linkdel "gort_linkdel"(link head, link l, G owner) noexcept
    G linknext "gort_nextg"(link l)
    ctypedef struct queue "gort_queue":
        pass
    ctypedef struct line "gort_line":
        pass

cdef extern from "native.h":
    Shard tupleat "gort_tupleat"(tuple t, Py_ssize_t i)
    G moved "gort_moved"(G v)

cdef extern from "spawn.h":
    G recordget "gort_recordget"()
    object nameof "gort_nameof"(object what)
    void settraceback "gort_settraceback"(object exc, object tb) noexcept
    void gctrack "gort_gctrack"(G gp, object value) noexcept

    ctypedef bint (*recordfn "gort_recordfn")(PyObject* o) noexcept
    void gort_recordbind(PyObject* mp, PyObject** kept, int drop) noexcept
    void gort_installrecords(object cls, recordfn final, recordfn clean, resetfn reset) noexcept

cdef enum:
    Gidle = 0
    Grunnable = 1
    Grunning = 2
    Gsyscall = 3
    Gwaiting = 4
    Gdead = 6
    Gparking = 7
    Gparkready = 8
    Gscan = 0x40

    Pidle = 0
    Prunning = 1
    Psyscall = 2
    Pgcstop = 3
    Pdead = 4
    Puser = 5
    PSTATE = 0xff
    PMSHIFT = 8

    ANONE = 0
    APARK = 1
    AGOSCHED = 2
    ALOSTP = 3
    AYIELD = 4

    OPNEW = 0
    OPPARKED = 1
    OPDONE = 2
    OPYIELDED = 3
    OPAWAITED = 4
    OPEXCUSED = -1

    WPENDING = 0
    WREADY = 1
    WCANCELLED = 2
    WDONE = 3

    CREQ = 1
    CTHROW = 2

    NSHARD = 64
    CLOCKSHIFT = 24
    GOIDBATCH = 16

@cython.final
cdef class G:
    cdef Awaitable waiting
    cdef atomic8 status_
    cdef atomic8 cancelreq
    cdef int8_t waitreason
    cdef int8_t locked
    cdef int8_t outcome
    cdef int8_t member
    cdef int8_t shard
    cdef mutex lock
    cdef int32_t calllasti
    cdef uint32_t waitsince
    cdef int8_t cancelled
    cdef int8_t retrieved
    cdef int8_t plain
    cdef int8_t issystem
    cdef readonly int64_t goid
    cdef readonly int64_t parentgoid
    cdef object coro
    cdef slot ctx
    cdef slot schedlink
    cdef link alllink
    cdef object result
    cdef object scope
    cdef object group
    cdef slot callcode
    cdef object __weakref__

@cython.final
cdef class M:
    cdef line line0
    cdef readonly int64_t id
    cdef P p
    cdef G curg
    cdef int64_t userword
    cdef int64_t runword
    cdef int64_t sysword
    cdef int32_t action
    cdef bint spinning
    cdef G nextg
    cdef G lockedg
    cdef P nextp
    cdef M schedlink
    cdef note park
    cdef slot result
    cdef int64_t gen
    cdef bint ism0
    cdef int32_t lockcount
    cdef atomic using
    cdef readonly object ident
    cdef atomic pressed
    cdef line line1
    cdef void renew(self, int64_t id, int64_t gen)

@cython.final
cdef class P:
    cdef line line0
    cdef readonly int64_t id
    cdef atomic status
    cdef atomic preempt
    cdef atomic runqhead
    cdef atomic runqtail
    cdef ring runq
    cdef slot runnext
    cdef atomic schedtick
    cdef atomic syscalltick
    cdef atomic free
    cdef int8_t shard
    cdef int64_t goidcache
    cdef int64_t goidcacheend
    cdef int64_t gctick
    cdef int64_t gcrounds
    cdef int64_t gcseen
    cdef mutex timerlock
    cdef Heap timers
    cdef atomic minwhen
    cdef int64_t zombies
    cdef P link
    cdef line line1
    cdef int64_t seentick
    cdef int64_t seenwhen
    cdef int64_t seensys
    cdef line line2
    cdef void renew(self, int64_t id)

@cython.final
cdef class Shard:
    cdef line line0
    cdef mutex lock
    cdef link head
    cdef int64_t n
    cdef line line1
    cdef int64_t count(self)
    @cython.locals(gp=G)
    cdef void clear(self)

@cython.final
cdef class Sched:
    cdef line line0
    cdef atomic gen
    cdef bint gm
    cdef atomic booted
    cdef atomic up
    cdef atomic nprocs
    cdef list allp
    cdef atomic gcwaiting
    cdef atomic exiting
    cdef atomic draining
    cdef atomic gcforce
    cdef atomic cleanupwake
    cdef atomic deadcheck
    cdef Poller poller
    cdef tuple shards
    cdef atomic nshards
    cdef G maing
    cdef M m0
    cdef int64_t starttime
    cdef int64_t drainstart
    cdef int64_t maxmcount
    cdef atomic clock
    cdef atomic siglisten
    cdef atomic asyncexc
    cdef atomic unwinding
    cdef atomic pierced
    cdef object mstart
    cdef object join
    cdef object cancel
    cdef object panic
    cdef object groupdone
    cdef object orphaned
    cdef object pierce
    cdef object describe
    cdef object interrupted
    cdef list signals
    cdef object mainstage
    cdef slot throwing
    cdef object unwind
    cdef object agenhooks
    cdef object leave
    cdef object dying
    cdef object mainexit
    cdef object drained
    cdef object abandon
    cdef object deadlocked
    cdef object childexit
    cdef object fatal
    cdef line line1
    cdef atomic nmspinning
    cdef atomic needspinning
    cdef atomic npidle
    cdef line line2
    cdef atomic runqsize
    cdef atomic runqlate
    cdef line line3
    cdef mutex lock
    cdef P pidle
    cdef atomic nwakes
    cdef M midle
    cdef list mfree
    cdef list pfree
    cdef int64_t nmidle
    cdef int64_t nmidlelocked
    cdef int64_t mcount
    cdef int64_t mnext
    cdef int64_t nmsys
    cdef set allm
    cdef dict lockedms
    cdef queue runq
    cdef atomic nrunqget
    cdef int64_t stopwait
    cdef note stopnote
    cdef mutex worldsema
    cdef line line4
    cdef atomic netpollwaiters
    cdef atomic lastpoll
    cdef atomic polluntil
    cdef atomic netpollwake
    cdef line line5
    cdef atomic sysmonwait
    cdef note sysmonnote
    cdef note exitnote
    cdef line line6
    cdef atomic goidgen
    cdef line line7
    cdef atomic nfailed
    cdef atomic nsteals
    cdef atomic nthreads
    cdef atomic threadwaiters
    cdef atomic safepoints
    cdef int64_t safegoal
    cdef line line8

cdef Sched sched

cpdef str describe(G gp)
@cython.locals(gp=G)
cdef G newg(object coro, int64_t goid)
@cython.locals(mp=M)
cdef M allocm(int64_t id, int64_t gen)
cdef void freem(M mp)
@cython.locals(pp=P)
cdef P allocp(int64_t id)
@cython.locals(raised=bint)
cpdef str nameofg(G gp)
@cython.locals(dead=bint)
cdef object exceptionof(G gp)
cdef void greset(G gp) noexcept

cdef inline bint gfinal(PyObject* o) noexcept:
    return (<G>o).outcome == 2

cdef inline bint gclean(PyObject* o) noexcept:
    return (load((<G>o).status_) == Gdead and (<G>o).waiting is None
            and not slotset((<G>o).schedlink)
            and not (<G>o).locked and (<G>o).scope is None)

cdef inline void gresetp(PyObject* o) noexcept:
    greset(<G>o)

cdef inline void keeprecords(type cls) noexcept:
    """Keep dead records of G for the next goroutines."""
    gort_installrecords(cls, gfinal, gclean, gresetp)
    onsetm(gort_recordbind)
cdef void throw(str msg) noexcept
cdef void fatal(str msg) noexcept
cdef void checkmcount() noexcept
cdef bint casgstatus(G gp, int64_t old, int64_t new) noexcept
cdef Shard shardof(G gp) noexcept
@cython.locals(shard=Shard)
cdef void allgadd(G gp, P pp) noexcept
@cython.locals(shard=Shard)
cdef void allgdel(G gp) noexcept
@cython.locals(shard=Shard)
cdef void setsystem(G gp, bint system)
@cython.locals(shard=Shard)
cdef list allgs()
@cython.locals(mp=M, s=int64_t)
cdef M mof(G gp)
@cython.locals(units=int64_t)
cdef void setclock(int64_t now) noexcept
