cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (add, cas, getident, load, lock, nanotime, noteclear, notesleep, store,
                                swap, unlock, usleep)
from .blocktrace cimport blocktrace
from .gmp cimport (G, Gwaiting, M, P, PSTATE, Pidle, Prunning, Psyscall, Puser, Sched, sched)
from .machine cimport handoffp, netpollbreak, startm, wakep
from .netpoll cimport netpoll, readylist
from .proc cimport checktimersnop
from .runq cimport runqempty

cdef class Slow:
    cdef int64_t next
    cdef int64_t tracens
    cdef int64_t nexttrace
    cdef int64_t blockns
    cdef int64_t nextblock
    cdef int64_t nextgil
    cdef dict stays
    cdef void look(self, int64_t now)

@cython.locals(delay=int64_t, idle=int64_t, now=int64_t, lastpoll=int64_t, slow=Slow)
cdef void sysmon()
@cython.locals(pp=P, i=int64_t, s=int64_t, st=int64_t, t=int64_t)
cdef int64_t retake(int64_t now)
cdef bint worth(P pp) noexcept
@cython.locals(ns=int64_t)
cdef void deepsleep(int64_t now, int64_t next)
cdef bint alldead()
@cython.locals(run=int64_t)
cdef bint allidle()
@cython.locals(mp=M)
cdef bint foreignthreads()
cdef object deadlock()
