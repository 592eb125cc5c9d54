cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (install_slots, RAISE, RETURN, YIELD, Poller, add, cas, load, lock, mutex, nanotime,
                                store, unlock)
from .gmp cimport G, Grunning, M, P, Sched, WPENDING, WREADY, sched
from .park cimport Op, opready, win

@cython.final
cdef class Polldesc:
    cdef int fd
    cdef bint registered
    cdef Iowait rq
    cdef Iowait wq

cdef class Iowait(Op):
    cdef int fd
    cdef int mode
    cdef Iowait next
    cdef object error
    @cython.locals(pd=Polldesc, fresh=Polldesc)
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    @cython.locals(pd=Polldesc)
    cdef void unqueue(self) noexcept

@cython.final
cdef class Netpoll:
    cdef mutex lock
    cdef dict pds

cdef Netpoll np

@cython.locals(pd=Polldesc, word=int64_t, mask=int, left=int)
cdef list netpoll(int64_t ns)
@cython.locals(op=Iowait, next=Iowait)
cdef list wakequeue(Iowait op, list ready, object error)
@cython.locals(op=Iowait)
cdef int64_t readylist(list ready, P pp)
@cython.locals(at=Iowait)
cdef Iowait without(Iowait head, Iowait op)
cdef void unpark(Iowait op) noexcept
@cython.locals(op=Iowait)
cdef Iowait newiowait(object fd, int mode)
cdef int waiting(Polldesc pd) noexcept
