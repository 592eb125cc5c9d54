cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (install_slots, poolops, RAISE, RETURN, YIELD, Poller, add, atomic, cas, closefd, dupfd, events, evfd, evmask, getm,
                                evseq, load, lock, mutex, nanotime, sockref, store, unlock)
from .gmp cimport G, Grunning, M, OPNEW, P, Sched, WPENDING, WREADY, sched
from .park cimport Op, gopark, opready, win

cdef extern from "op.h":
    Iowait poolget "gort_poolget"()
    Iowait moved "gort_moved"(Iowait v)

cdef extern from "netfd.h":
    int sockfileno "gort_sockfileno"(object sock) noexcept
    object refsock "gort_refsock"(object ref)

cdef enum:
    READ = 1
    WRITE = 2
    KEEP = 4
    GONE = 8
    LATE = 16
    CTLADD = 1
    CTLDEL = 2
    CTLMOD = 3
    MAXMISSES = 5
    MAXPASSES = 4

cdef int _EEXIST
cdef int _ENOENT

@cython.final
cdef class Polldesc:
    cdef int fd
    cdef int64_t seq
    cdef int64_t was
    cdef bint registered
    cdef bint replaced
    cdef bint kept
    cdef int misses
    cdef int once
    cdef int passes
    cdef bint more
    cdef object ref
    cdef int64_t stamp
    cdef Iowait rq
    cdef Iowait wq

@cython.no_gc
cdef class Iowait(Op):
    cdef int fd
    cdef int mode
    cdef Iowait next
    cdef Iowait prev
    cdef object error
    cdef object ref
    cdef str opname(self)
    cdef void reset(self) noexcept
    @cython.locals(pd=Polldesc, fresh=Polldesc, late=Iowait)
    cdef int start(self, P pp) noexcept
    cdef int barred(self, object sock) noexcept
    cdef bint islate(self) noexcept
    cdef bint waitsfor(self, object f) noexcept
    @cython.final
    cdef void queueread(self, Polldesc pd) noexcept
    @cython.final
    @cython.locals(pd=Polldesc)
    cdef bint startkept(self) noexcept
    cdef int finish(self) noexcept
    @cython.final
    cdef int closed(self) noexcept
    @cython.final
    cdef int late(self) noexcept
    @cython.locals(pd=Polldesc, late=Iowait)
    cdef void unqueue(self) noexcept

@cython.final
cdef class Netpoll:
    cdef mutex lock
    cdef dict pds
    cdef int64_t seq
    cdef int64_t strays
    cdef atomic nwaits

cdef Netpoll np

@cython.locals(pd=Polldesc)
cdef Polldesc newpolldesc(int fd)
cdef int waiting(Polldesc pd) noexcept
@cython.locals(mask=int, err=int)
cdef int arm(Polldesc pd, object ref) noexcept
cdef Iowait rearm(Polldesc pd, Iowait list_)
cdef Iowait settled(Polldesc pd, Iowait list_)
@cython.locals(list_=Iowait)
cdef Iowait strangers(Polldesc pd, Iowait op)
cdef Iowait wakeall(Polldesc pd, Iowait list_)
@cython.locals(pd=Polldesc, list_=Iowait, spare=int)
cdef evict(int fd, bint close)
cdef void unkeep(Polldesc pd) noexcept
cdef void nextseq(Polldesc pd) noexcept
cdef int register(Polldesc pd, int mask) noexcept
cdef Iowait disarm(Polldesc pd, Iowait list_)
@cython.locals(pd=Polldesc)
cdef Iowait stray(Iowait list_)
cdef void dequeue(Polldesc pd, Iowait op) noexcept
cdef Iowait before(Iowait head, Iowait op) noexcept
@cython.locals(next=Iowait)
cdef Iowait without(Iowait head, Iowait op)
@cython.locals(pd=Polldesc, evs=events, n=int, since=int64_t, again=bint, list_=Iowait)
cdef Iowait netpoll(int64_t ns)
cdef Iowait wake(Polldesc pd, int mask, Iowait list_)
@cython.locals(next=Iowait)
cdef Iowait wakequeue(Iowait op, Iowait list_, int gone)
@cython.locals(next=Iowait, n=int64_t)
cdef int64_t readylist(Iowait op, P pp)
@cython.locals(mp=M)
cdef void unpark(Iowait op) noexcept
@cython.locals(op=Iowait)
cdef Iowait newiowait(object fd, int mode)
