cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (RUNQ, add, cas, cheaprandn, load, lock, ring, ringcopy, ringput,
                                slot, slotput, slotset, store, store_rel, unlock, usleep)
from .gmp cimport G, P, PSTATE, Prunning, Puser, Sched, queue, sched

cdef extern from "native.h":
    G ringtake "gort_ringtake"(ring r, int64_t i)
    G slotswap "gort_slotswap"(slot s, G o)
    G moved "gort_moved"(G v)

cdef extern from "link.h":
    void queueput "gort_queueput"(queue q, slot link, G owner) noexcept
    G queuetake "gort_queuetake"(queue q)

@cython.locals(old=G)
cdef void runqput(P pp, G gp, bint next) noexcept
cdef void runqputtail(P pp, G gp) noexcept
cdef G runqget(P pp)
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
