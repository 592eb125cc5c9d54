cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (install_slots, RAISE, RETURN, YIELD, Awaitable, add, atomic, cas, getm, load, lock,
                                nanotime, note, noteclear, notesleep, notewakeup, raiseasync, store, swap, store_rel,
                                unlock, usleep)
from .gmp cimport (AGOSCHED, ALOSTP, ANONE, APARK, G, Gparking, Gparkready, Grunnable, Grunning,
                   Gscan, Gwaiting, M, OPDONE, OPNEW, OPPARKED, OPYIELDED, P, Sched, WCANCELLED,
                   WPENDING, WREADY, allgs, sched, throw)
from .machine cimport checkdead, claim, release, stale, wakep
from .runq cimport globrunqput, runqput

cdef class Threadwaiter:
    cdef note n
    cdef G g
    cdef bint timed
    cdef void idle(self)
    cdef void wake(self)

cdef class Op(Awaitable):
    cdef atomic won
    cdef G g
    cdef Threadwaiter tw
    cdef int32_t state
    cdef int32_t code
    @cython.locals(mp=M)
    cdef int step(self) noexcept
    @cython.locals(pp=P)
    cdef int begin(self, M mp, G gp) noexcept
    cdef int resume(self, M mp, G gp) noexcept
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    cdef void unqueue(self) noexcept
    cdef int fail(self, object exc) noexcept
    @cython.locals(mp=M)
    cdef void gopark(self, int32_t reason) noexcept
    cdef int foreign(self, M mp, G gp) noexcept

@cython.locals(tw=Threadwaiter)
cdef void wakewaiter(Op op, G gp)
cdef bint win(Op op) noexcept
cdef void opready(Op op, P pp, bint next)
@cython.locals(s=int64_t)
cdef void goready(G gp, P pp, bint next)
cdef void ready(G gp, P pp, bint next)
cdef bint parkdone(G gp)
@cython.locals(s=int64_t, op=Op, mp=M)
cdef void interrupt(G gp)
cdef object cancelexc(G gp)
cdef void dropasync()
cpdef object cancel(G gp)

cdef class Gosched(Op):
    @cython.locals(mp=M)
    cdef int start(self, P pp) noexcept
