cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (RAISE, Poller, add, bootstrangers, cas, getm, ismainthread, load, lock, lockstat,
                                nanotime, newosproc, noteclear, notesleep, notewakeup, opdrop, setm,
                                 slotclear, store, swap, threadstacks, uncounted, unlock, usleep)
from .asyncgen cimport closesuspended
from .fork cimport Atfork, atfork
from .gmp cimport (CTHROW, G, Gdead, Grunnable, Gwaiting, M, P, PSTATE, Pdead, Pidle, Prunning, Psyscall, Puser, Sched,
                   Shard, allgdel, allgs, allocm, checkmcount, freem, mof, sched, setclock)
from .machine cimport acquirep, netpollbreak, pidleget, pidleput
from .main cimport mainstart
from .netpoll cimport np
from .park cimport Op, dropasync, winwait
from .proc cimport endidle, fastgo, gcount, mstart, newmain, newproc
from .runq cimport globrunqpop
from .sysmon cimport sysmon
from .template cimport jointemplate, openhandoff
from .unwind cimport startunwind
from .world cimport procresize

@cython.locals(pp=P, i=int64_t)
cdef void schedinit(int64_t procs)
@cython.locals(m0=M, gp=G, pp=P)
cdef object rt0_go(object main, tuple args, int64_t procs)
cdef void closeup() noexcept
@cython.locals(pp=P, s=int64_t, st=int64_t)
cdef void takeps()
@cython.locals(gp=G)
cdef void endleft()
@cython.locals(s=int64_t, op=Op, won=bint)
cdef bint ours(G gp)
cdef void endg(G gp)
cdef object outcome(G gp)
cpdef void mainexit(G gp)
@cython.locals(mp=M)
cpdef void exitrun()
@cython.locals(shard=Shard)
cpdef void resetall()
@cython.locals(gp=G)
cpdef void panic(G gp)
@cython.locals(mp=M, now=int64_t, busy=int64_t, idle=int64_t, stays=bint)
cdef void teardown()
cdef void clearshard(Shard shard)
cdef void wakem(M mp)
cpdef void drained()
cpdef void abandon()
@cython.locals(gp=G)
cpdef void leave()
@cython.locals(gp=G)
cdef str dumpsome(list gs)
@cython.locals(gp=G)
cdef object ending()
cpdef void deadlocked()
cdef int64_t defaultprocs() except -1
