cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (add, cas, fence, getm, load, lock, nanotime, note, opdrop,
                                noteclear, noteinterrupt, notesleep, notewakeup, setm, store, store_rel, swap,
                                unlock)
from .gmp cimport (G, M, P, PMSHIFT, PSTATE, Pgcstop, Pidle, Prunning, Psyscall, Puser, Sched,
                   allocm, checkmcount, sched, setclock, throw)
from .runq cimport runqempty
from .template cimport altered, handm, newm1

@cython.locals(pp=P)
cdef P reclaim(M mp)

cdef inline P claim(M mp):
    if mp.p is not None and cas(mp.p.status, mp.userword, mp.runword):
        return mp.p
    return reclaim(mp)

cdef inline void release(M mp, P pp) noexcept:
    store_rel(pp.status, mp.userword)

cdef bint stale(M mp) noexcept
cdef void pidleput(P pp) noexcept
@cython.locals(pp=P)
cdef P pidleget()
@cython.locals(pp=P)
cdef P pidlegetspinning()
cdef void acquirep(M mp, P pp) noexcept
@cython.locals(pp=P)
cdef P releasep(M mp)
cdef void mput(M mp) noexcept
@cython.locals(mp=M)
cdef M mget()
@cython.locals(pp=P)
cdef bint stopm(M mp)
@cython.locals(mp=M)
cdef void startm(P pp, bint spinning, bint locked)
cdef void nostart(P pp, bint spinning) noexcept
@cython.locals(mp=M, id=int64_t)
cdef void newm(P pp, bint spinning, bint locked)
cdef void mexit(M mp)
@cython.locals(idle=P)
cdef void wakep(P pp) noexcept
cdef void handoffp(P pp)
@cython.locals(mp=M, pp=P)
cdef bint stoplockedm(M mp)
cdef bint lockedexit(M mp)
@cython.locals(lm=M, pp=P)
cdef bint startlockedm(M mp, G gp)
cdef void wakenetpoller(int64_t when)
cdef void netpollbreak() noexcept
cdef void interrupted(M mp)
cdef void nudge()
cdef void nudgem(M mp)
cdef void checkdead() noexcept
cdef void mwait(M mp)
@cython.locals(pp=P)
cdef bint gcstopm(M mp)
