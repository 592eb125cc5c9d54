cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (cas, getm, load, lock, nanotime, noteclear, notesleep, notewakeup, ringtake,
                                slotswap, store, swap, unlock, usleep)
from .gm cimport matchall
from .gmp cimport (NSHARD, G, M, P, PSTATE, Pdead, Pgcstop, Pidle, Prunning, Psyscall, Puser, Sched, allocp, sched,
                   setclock, throw)
from .machine cimport acquirep, claim, netpollbreak, pidleget, pidleput, release, startm, wakep
from .runq cimport globrunqput, runqempty, runqget
from .timers cimport movetimers

@cython.locals(mp=M, pp=P, idle=P, p2=P)
cdef P stoptheworld()
@cython.locals(mp=M, pp=P, mine=P)
cdef void starttheworld(P mine)
@cython.locals(pp=P, gp=G, i=int64_t)
cdef void procresize(int64_t n)

@cython.locals(s=int64_t, st=int64_t)
cdef void preempttake(P pp)
@cython.locals(pp=P, s=int64_t, st=int64_t)
cdef void freezetheworld()
cdef void idlep(P pp)
cdef void wakesysmon()
@cython.locals(gp=G)
cdef void destroy(P pp)
@cython.locals(mp=M, first=P)
cdef P takefirst(P mine)
cdef int64_t procid(P pp)
