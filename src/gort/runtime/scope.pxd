cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (RAISE, RETURN, Awaitable, getm, install_slots, load, lock, mutex,
                                store, unlock)
from .gmp cimport CREQ, G, M, P, Sched, allgs, sched
from .machine cimport claim, release
from .park cimport interrupt
from .timers cimport Timer, anyp, armtimer, deadline, stoptimer

cdef enum:
    SNEW = 0
    SOPEN = 1
    SLEFT = 2

cdef class Scope:
    cdef mutex lock
    cdef G g
    cdef Scope parent
    cdef Timer timer
    cdef double seconds
    cdef int32_t state
    cdef bint cancelled
    cdef bint shielded
    cdef bint leaving
    cdef bint isgroup
    cdef bint told
    cdef list members(self)
    cdef str stage(self)
    cdef object verdict(self, object exc, bint own, bint outer)

@cython.locals(pierced=bint)
cdef bint effective(G gp, Scope sc) noexcept
@cython.locals(sc=Scope, on=bint, req=int64_t)
cdef bint update(G gp) noexcept
cdef void mark(G gp)
@cython.locals(todo=list, sc=Scope, child=G)
cdef void spread(G gp)
@cython.locals(sc=Scope)
cdef Scope nexttold(G gp)
cpdef object cancel(G gp)
cpdef void pierce()
@cython.locals(held=bint)
cdef bint shielding()
cdef G ownerof(Scope sc)
@cython.locals(gp=G)
cdef void cancelscope(Scope sc)
@cython.locals(mp=M, gp=G, when=int64_t, fresh=bint, on=bint)
cdef object enterscope(Scope sc)
@cython.locals(pp=P)
cdef void starttimer(Scope sc, M mp, int64_t when)
@cython.locals(t=Timer)
cdef void deltimer(Scope sc)
@cython.locals(mp=M, gp=G, inorder=bint)
cdef bint startleave(Scope sc)
@cython.locals(head=Scope, inorder=bint)
cdef bint unlink(Scope sc, G gp)
@cython.locals(mp=M, gp=G, owner=G, inorder=bint)
cdef object leavescope(Scope sc, object exc)
cpdef void orphaned(Scope sc)
@cython.locals(child=G)
cdef void cancelmembers(Scope sc)

@cython.no_gc
cdef class Enterscope(Awaitable):
    cdef Scope sc
    cdef int step(self) noexcept

@cython.no_gc
cdef class Leavescope(Awaitable):
    cdef Scope sc
    cdef object exc
    cdef int step(self) noexcept

@cython.locals(op=Enterscope)
cdef Enterscope enter(Scope sc)
@cython.locals(op=Leavescope)
cdef Leavescope leave(Scope sc, object exc)
