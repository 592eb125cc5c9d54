cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (install_slots, RAISE, RETURN, YIELD, add, atomic, cas, fence, getm, load, lock, sockref,
                                unlock)
from .gmp cimport G, M, P, Sched, WPENDING, WREADY, sched
from .machine cimport claim, release, stale
from .netfd cimport awaitcall
from .netpoll cimport (GONE, LATE, READ, WRITE, Iowait, Polldesc, dequeue, evict, np, readylist,
                       settled)
from .park cimport Op, gopark, opready
from .timers cimport Timer, anyp, armtimer, deadline, stoptimer

cdef extern from "netfd.h":
    int sockfileno "gort_sockfileno"(object sock) noexcept

cdef class Pollfile:
    cdef readonly object sock
    cdef object ref
    cdef int fd
    cdef int late
    cdef atomic seqs
    cdef int64_t rseq
    cdef int64_t wseq
    cdef Timer rtimer
    cdef Timer wtimer
    cdef bint isgate
    cdef bint rset
    cdef bint wset
    cdef Gatewait rop
    cdef Gatewait wop
    cdef object __weakref__

cdef int number(Pollfile f) noexcept
@cython.locals(when=int64_t, seq=int64_t, t=Timer, oldr=Timer, oldw=Timer)
cdef setdeadline(Pollfile f, int mode, object seconds)
cdef expire(Pollfile f, int mode, int64_t seq)
@cython.locals(pd=Polldesc, list_=Iowait)
cdef Iowait latefile(Pollfile f, int mode)
@cython.locals(next=Iowait)
cdef Iowait lateops(Pollfile f, Polldesc pd, Iowait op, Iowait list_)
@cython.locals(op=Gatewait)
cdef Gatewait takegate(Pollfile f, int side, int why)
@cython.locals(mp=M, pp=P)
cdef void readygate(Gatewait op)
@cython.locals(op=Gatewait)
cdef gatewake(Pollfile f, int side)
@cython.locals(fd=int, reader=Gatewait, writer=Gatewait)
cdef closefile(Pollfile f)

@cython.no_gc
cdef class Filewait(Iowait):
    cdef str opname(self)
    @cython.locals(f=Pollfile)
    cdef int start(self, P pp) noexcept
    @cython.locals(f=Pollfile)
    cdef int barred(self, object sock) noexcept
    cdef int finish(self) noexcept

@cython.no_gc
cdef class Checkpoint(Op):
    pass

@cython.no_gc
cdef class Gatewait(Op):
    cdef int mode
    cdef str opname(self)
    @cython.locals(f=Pollfile, reading=bint)
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    @cython.locals(f=Pollfile)
    cdef void unqueue(self) noexcept

cdef object toolate(int mode)
@cython.locals(op=Filewait)
cdef Filewait newfilewait(Pollfile f, int mode)
@cython.locals(op=Gatewait)
cdef Gatewait newgatewait(Pollfile f, int mode)
