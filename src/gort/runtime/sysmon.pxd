cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (atomic, add, cas, getident, load, lock, nanotime, nforeign, noteclear, notesleep,
                                nstrangers, store, swap, unlock, usleep)
from .cleanup cimport wakecleanup
from .gcwork cimport gclook
from .blocktrace cimport blocktrace
from .gmp cimport (G, Gwaiting, M, P, PSTATE, Pidle, Prunning, Psyscall, Puser, Sched, sched, setclock)
from .machine cimport handoffp, netpollbreak, nudge, startm, wakep
from .netpoll cimport netpoll, readylist
from .proc cimport checktimersnop
from .runq cimport runqempty
from .scope cimport shielding
from .template cimport Handoff, closehandoff, handoff, startpending

cdef extern from "watch.h":
    ctypedef struct watch "gort_watch":
        int n
    void watchadd "gort_watchadd"(watch w, atomic status, atomic tick0, atomic tick1) noexcept
    void watchsleep "gort_watchsleep"(watch w, int64_t us, int64_t mask, int64_t idle) noexcept

cdef inline void watchps(list ps, int64_t us):
    cdef watch w
    cdef P pp
    w.n = 0
    for pp in ps:
        watchadd(w, pp.status, pp.schedtick, pp.syscalltick)
    watchsleep(w, us, PSTATE, Pidle)

cdef class Slow:
    cdef int64_t next
    cdef int64_t tracens
    cdef int64_t nexttrace
    cdef int64_t blockns
    cdef int64_t nextblock
    cdef int64_t nextgil
    cdef int64_t nextnudge
    cdef int64_t nserved
    cdef int64_t served
    cdef int64_t held
    cdef dict stays
    @cython.locals(n=int64_t)
    cdef void lookrunq(self, int64_t now)
    cdef void look(self, int64_t now)

@cython.locals(delay=int64_t, idle=int64_t, now=int64_t, last=int64_t, lastpoll=int64_t, slow=Slow, nap=bint, napus=int64_t, wakes=int64_t)
cdef void sysmon()
cdef enum:
    INSLICE = 0
    PREEMPTED = 1
    PAST = 2

@cython.locals(pp=P, i=int64_t, s=int64_t, st=int64_t, t=int64_t, over=int)
cdef int64_t retake(int64_t now, int64_t late)
cdef bint inslice(P pp, int64_t st) noexcept
@cython.locals(t=int64_t)
cdef int sliceover(P pp, int64_t now, int64_t late)
@cython.locals(pp=P, i=int64_t, st=int64_t, left=int64_t)
cdef int64_t sliceleft(int64_t now)
@cython.locals(past=int64_t)
cdef void drain(int64_t now, Slow slow)
@cython.locals(until=int64_t, first=int64_t)
cdef bint latepoll()
@cython.locals(pp=P, i=int64_t, s=int64_t, asked=int)
cdef int64_t forcegc(int64_t now)
cdef bint worth(P pp) noexcept
@cython.locals(ns=int64_t, wait=int64_t, idle=bint)
cdef void deepsleep(int64_t now, Slow slow)
@cython.locals(run=int64_t)
cdef bint someoneruns()
cdef bint alldead()
@cython.locals(rounds=int64_t)
cdef bint settled()
@cython.locals(run=int64_t)
cdef bint allidle()
@cython.locals(mp=M)
cdef bint foreignthreads()
cdef object deadlock()
