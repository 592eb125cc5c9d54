cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from ..platform.native cimport (RAISE, RETURN, STOPASYNC, YIELD, atomic, bindfn, cas, getm, install_slots, load, lock, onsetm, poolops,
                                store, store_rel, unlock)
from .gmp cimport G, M, OPAWAITED, P, WPENDING
from .netpoll cimport GONE, LATE, READ, WRITE, Iowait, Polldesc, np
from .park cimport Op
from .pollfile cimport Pollfile

cdef extern from "netfd.h":
    M curm "gort_getm_"()
    int sockfileno "gort_sockfileno"(object sock) noexcept
    int64_t sockid "gort_sockid"(object sock) noexcept
    Connop poolget "gort_poolget"()
    int connrecv "gort_connrecv"(Netconn c, Py_ssize_t n) noexcept
    int connsend "gort_connsend"(Connop op, object sock) noexcept
    Py_ssize_t buffind "gort_buffind"(object buf, bytes sep, Py_ssize_t start, Py_ssize_t end) noexcept
    bytes bufcut "gort_bufcut"(object buf, Py_ssize_t start, Py_ssize_t n)
    void gort_recvbind(PyObject* mp, PyObject** kept, int drop) noexcept

cdef inline void keeprecvbuf() noexcept:
    onsetm(gort_recvbind)

cdef enum:
    CHUNK = 65536
    SIDES = 3

cdef int _EAGAIN

cdef class Netconn:
    cdef readonly Pollfile file
    cdef bint greedy
    cdef object buf
    cdef Py_ssize_t pos
    cdef Py_ssize_t scan
    cdef object got
    cdef atomic reading
    cdef atomic writing
    cdef int64_t rgoid
    cdef int64_t wgoid
    cdef object __weakref__

@cython.locals(mp=M, goid=int64_t)
cdef bint acquire(Netconn c, int mode, int64_t who) noexcept
cdef void vacate(Netconn c, int mode, int64_t who) noexcept
@cython.locals(goid=int64_t)
cdef object busy(Netconn c, int mode, str what)
@cython.locals(have=Py_ssize_t, at=Py_ssize_t, sep=bytes, line=bint)
cdef object taken(Netconn c, object kind, Py_ssize_t n)
cdef object cut(Netconn c, Py_ssize_t n)
@cython.locals(left=Py_ssize_t)
cdef Py_ssize_t wanted(Netconn c, object kind, Py_ssize_t n)
cdef fed(Netconn c, object data)
@cython.locals(have=Py_ssize_t)
cdef object ended(Netconn c, object kind, Py_ssize_t n)

@cython.no_gc
cdef class Connop(Iowait):
    cdef str opname(self)
    cdef int64_t n
    @cython.locals(c=Netconn, code=int)
    cdef int start(self, P pp) noexcept
    @cython.final
    @cython.locals(code=int)
    cdef int first(self, Netconn c, P pp) noexcept
    @cython.final
    cdef bint filled(self, Netconn c) noexcept
    @cython.final
    @cython.locals(err=int)
    cdef int proceed(self, Netconn c) noexcept
    @cython.final
    @cython.locals(err=int, mp=M, size=Py_ssize_t, more=bint)
    cdef int attempt(self, Netconn c) noexcept
    @cython.final
    @cython.locals(pd=Polldesc)
    cdef void setmore(self) noexcept
    @cython.final
    cdef int atend(self, Netconn c) noexcept
    @cython.locals(c=Netconn, code=int, late=bint)
    cdef int finish(self) noexcept
    @cython.locals(c=Netconn)
    cdef int barred(self, object sock) noexcept
    @cython.locals(c=Netconn)
    cdef bint islate(self) noexcept
    @cython.locals(c=Netconn)
    cdef bint waitsfor(self, object f) noexcept
    @cython.final
    cdef int failed(self, int err) noexcept
    @cython.final
    @cython.locals(c=Netconn)
    cdef bint tardy(self) noexcept
    cdef int fail(self, object exc) noexcept
    @cython.final
    cdef void letgo(self) noexcept
    @cython.locals(c=Netconn)
    cdef void unqueue(self) noexcept

@cython.locals(op=Connop)
cdef Connop newconnop(Netconn c, int mode, object what, int64_t n)
