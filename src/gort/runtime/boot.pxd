cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (RAISE, Poller, add, cas, getm, ismainthread, load, lock, lockstat,
                                nanotime, newosproc, noteclear, notesleep, notewakeup, opdrop, setm,
                                slotclear, store, swap, unlock)
from .fork cimport Atfork, atfork
from .gmp cimport CTHROW, G, Gdead, M, P, PSTATE, Pdead, Pidle, Sched, Shard, allocm, checkmcount, freem, sched, setclock
from .machine cimport acquirep, netpollbreak, pidleget, pidleput
from .main cimport mainstart
from .netpoll cimport np
from .park cimport dropasync
from .proc cimport fastgo, gcount, mstart, newmain, newproc
from .runq cimport globrunqpop
from .sysmon cimport sysmon
from .template cimport jointemplate, openhandoff
from .world cimport procresize

@cython.locals(pp=P, i=int64_t)
cdef void schedinit(int64_t procs)
@cython.locals(m0=M, gp=G, pp=P)
cdef object rt0_go(object main, tuple args, int64_t procs)
cdef object outcome(G gp)
cpdef void mainexit(G gp)
@cython.locals(mp=M)
cpdef void exitrun()
@cython.locals(shard=Shard)
cpdef void resetall()
@cython.locals(gp=G)
cpdef void panic(G gp)
@cython.locals(mp=M)
cdef void teardown()
cdef void clearshard(Shard shard)
cdef void wakem(M mp)
cpdef void drained()
cpdef void abandon()
cpdef void deadlocked()
cdef int64_t defaultprocs() except -1
