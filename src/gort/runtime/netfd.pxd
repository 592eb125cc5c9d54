cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from ..platform.native cimport (RAISE, RETURN, YIELD, bindfn, fence, getm, load, onsetm, install_slots, lock, poolops, socknumber,
                                sockref, socktake, store, store_rel, unlock, usleep)
from .gmp cimport M, OPAWAITED, P, Sched, WPENDING, sched
from .netpoll cimport GONE, READ, WRITE, Iowait, Polldesc, evict, np
from .park cimport Op

cdef extern from "netfd.h":
    M curm "gort_getm_"()
    int sockfileno "gort_sockfileno"(object sock) noexcept
    int64_t sockid "gort_sockid"(object sock) noexcept
    Netop poolget "gort_poolget"()
    Netop moved "gort_moved"(Netop v)
    int recvnow "gort_recvnow"(Netop op) noexcept
    int sendnow "gort_sendnow"(Netop op) noexcept
    void gort_recvbind(PyObject* mp, PyObject** kept, int drop) noexcept

cdef inline void keeprecvbuf() noexcept:
    onsetm(gort_recvbind)

cdef enum:
    AGAIN = -1

cdef int _EAGAIN

@cython.no_gc
cdef class Netop(Iowait):
    cdef int64_t n
    cdef str opname(self)
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    @cython.final
    @cython.locals(err=int, mp=M)
    cdef int attempt(self) noexcept
    @cython.final
    cdef int failed(self, int err) noexcept
    @cython.final
    cdef void release(self) noexcept
    cdef void unqueue(self) noexcept
    @cython.final
    @cython.locals(pd=Polldesc)
    cdef void setmore(self) noexcept

@cython.locals(fd=int, mp=M)
cpdef closesock(object sock)
cdef void awaitcall(M mp, object sock)
@cython.locals(op=Netop)
cdef Netop newnetop(object sock, int mode)
