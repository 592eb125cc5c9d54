cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (sealed, RAISE, RETURN, YIELD, Awaitable, cas, getm, install_slots, load,
                                lock, mutex, unlock)
from .gmp cimport OPAWAITED, G, M, P, Sched, sched
from .machine cimport claim, release
from .park cimport Op, gopark, opready, win
from .proc cimport borncancelled, endidle, newproc1, nextgoid, start, startidle
from .waitgroup cimport WaitGroup, memberdone
from .scope cimport (SLEFT, SNEW, Enterscope, Scope, cancelmembers, cancelscope, enter, leavescope, ownerof, startleave)

cdef class Group(Scope):
    cdef mutex glock
    cdef int64_t limit
    cdef set children
    cdef object pending
    cdef dict errors
    cdef int64_t nlive
    cdef bint closed
    cdef bint reached
    cdef Groupwait waiter
    cdef object onerror
    cdef set handlers
    cdef list members(self)
    @cython.locals(room=list, gp=G, n=Py_ssize_t)
    cdef list running(self)
    @cython.locals(errors=list, rest=list)
    cdef object verdict(self, object exc, bint own, bint outer)
    cdef list takeerrors(self)

cdef int64_t checklimit(object limit) except -1
@cython.locals(mp=M, pp=P, gp=G, closed=bint, starts=bint, reached=bint)
cdef G gogroup(Group grp, object fn, tuple args, dict kwargs)
cdef object checkopen(Group grp)
@cython.locals(grp=Group, wg=WaitGroup)
cpdef object groupdone(G gp)
@cython.locals(mp=M, pp=P, gp=G, reached=bint, started=bint)
cdef object starthandler(Group grp, G failed, object exc)
cdef object endchild(Group grp, G gp)
cdef object adderror(Group grp, object exc)
@cython.locals(next=G, waiter=Groupwait, dead=bint)
cdef object childgone(Group grp)
@cython.locals(mp=M, pp=P)
cdef void wakegroup(Groupwait op)

@cython.no_gc
cdef class Groupwait(Op):
    cdef Group grp
    cdef str opname(self)
    cdef int start(self, P pp) noexcept
    cdef void unqueue(self) noexcept

@cython.locals(op=Groupwait)
cdef Groupwait newwait(Group grp)

@cython.locals(op=Groupexit)
cdef Groupexit newexit(Group grp, object exc)

@cython.no_gc
cdef class Groupexit(Awaitable):
    cdef Group grp
    cdef object exc
    cdef Groupwait wait
    cdef bint own
    @cython.locals(grp=Group, code=int)
    cdef int step(self) noexcept
    cdef int end(self) noexcept
    cdef int torn(self) noexcept
