cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (RUNQ, add, cas, cheaprandn, load, lock, ring, ringcopy, ringput,
                                slot, slotput, slotset, store, store_rel, unlock, usleep)
from .gmp cimport G, M, P, PSTATE, Prunning, Puser, Sched, queue, sched

cdef extern from "native.h":
    G ringtake "gort_ringtake"(ring r, int64_t i)
    G slotswap "gort_slotswap"(slot s, G o)
    G moved "gort_moved"(G v)
    G takecurg "gort_takecurg"(M mp)
    void ringmove "gort_ringmove"(ring r, int64_t i, G v) noexcept

cdef extern from "link.h":
    void queueput "gort_queueput"(queue q, slot link, G owner) noexcept
    G queuetake "gort_takeg"(queue q)

@cython.locals(old=G)
cdef void runqput(P pp, G gp, bint next) noexcept
cdef void runqputtail(P pp, G gp) noexcept

cdef inline void runqputcurg(M mp) noexcept:
    cdef int64_t t
    cdef G gp = takecurg(mp)
    t = load(mp.p.runqtail)
    if t - load(mp.p.runqhead) < RUNQ:
        ringmove(mp.p.runq, t, gp)
        store_rel(mp.p.runqtail, t + 1)
    else:
        runqput(mp.p, gp, False)

cdef inline G runqget(P pp):
    cdef int64_t h
    while True:
        h = load(pp.runqhead)
        if load(pp.runqtail) == h:
            return None
        if load(sched.nprocs) == 1:
            store_rel(pp.runqhead, h + 1)
            return ringtake(pp.runq, h)
        if cas(pp.runqhead, h, h + 1):
            return ringtake(pp.runq, h)

cdef bint runqempty(P pp) noexcept
cdef int64_t runqlen(P pp) noexcept
@cython.locals(gp=G, i=int64_t)
cdef bint runqputslow(P pp, G extra, int64_t h, int64_t t)
@cython.locals(i=int64_t)
cdef int64_t runqgrab(P victim, P pp, bint stealrunnext)
@cython.locals(gp=G)
cdef G runqsteal(P pp, P victim, bint stealrunnext)
cdef void globrunqput(G gp) noexcept
@cython.locals(gp=G, i=int64_t)
cdef G globrunqget(P pp, int64_t max)
@cython.locals(gp=G)
cdef G globrunqpop()
