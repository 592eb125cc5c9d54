# cython: language_level=3
"""The native platform's objects: what a C header alone cannot hold.

The interface is the one of pure.py, name by name; tests run over both.
"""

import os
import sys
import threading

from gort._bytecode import comeup, startthread
from gort._stacks import walkstacks
from gort._strangers import countstrangers, markearly, markstrangers

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawRealloc
from cpython.object cimport Py_TYPE
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.weakref cimport PyWeakref_NewRef
from libc.errno cimport errno
from posix.unistd cimport getpid

cdef extern from "stacks.h":
    object gort_threadstacks()
    bint FREETHREADED "GORT_FREETHREADED"

cdef extern from "native.h":
    void gort_keepnone() noexcept
    object gort_getm_()
    PyObject* gort_curm
    PyObject* gort_kept
    object gort_fetch_exception()
    int gort_epoll_new(int epfd, int evfd) noexcept
    int gort_epoll_wait(int epfd, int evfd, events evs, int64_t ns) noexcept
    int gort_epoll_ctl(int epfd, int op, int fd, int mask, int64_t seq) noexcept
    void gort_eventfd_write(int fd) noexcept
    int gort_eventfd_new(int* wfd) noexcept
    int close(int fd) noexcept
    int fcntl(int fd, int op, int arg) noexcept
    int F_DUPFD_CLOEXEC

cdef extern from *:
    """
    static __thread uint64_t gort_rand_state;
    static inline uint32_t gort_rand(void) {
        uint64_t x = gort_rand_state;
        if (!x) x = (uint64_t)gort_nanotime() * 0x9E3779B97F4A7C15u ^ (uintptr_t)&gort_rand_state;
        x ^= x << 13; x ^= x >> 7; x ^= x << 17;
        return (uint32_t)((gort_rand_state = x) >> 32);
    }
    """
    int PyThreadState_SetAsyncExc(unsigned long id, PyObject* exc) noexcept
    uint32_t gort_rand() noexcept nogil

cdef extern from "netfd.h":
    int gort_checksocket(object base) except -1
    void gort_setsocktype(object cls) noexcept
    bint gort_issocktype(object o) noexcept
    int gort_sockfileno(object sock) noexcept
    int gort_socktake(object sock) noexcept

cdef extern from "thread.h":
    ctypedef unsigned long pthread_t
    int gort_startosthread(object call, size_t stacksize, pthread_t* id) noexcept
    int pthread_join(pthread_t id, void** value) noexcept nogil
    int pthread_detach(pthread_t id) noexcept nogil
    set gort_pythreads()

cdef extern from "bound.h":
    int gort_fastwith(object cls, withfn enter, withfn leave) except -1


@cython.no_gc
cdef class Awaitable:
    """What `await` drives: step() returns YIELD, RETURN, RAISE or STOPASYNC and
    leaves the value, or the exception, in `value`."""

    cdef int step(self) noexcept:
        return RETURN

    cdef void reset(self) noexcept:
        """Back to a new op's fields, for a type that poolops() keeps."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise RuntimeError("gort: the await slots are not installed")

    def __repr__(self):
        return f"<gort {type(self).__name__}>"


# The modules that hold a copy of the thread's M, by their setters.
cdef bindfn[64] binds
cdef int nbinds = 0


cdef void onsetm(bindfn bind) noexcept:
    global nbinds
    for i in range(nbinds):
        if binds[i] == bind:
            return
    if nbinds == 64:
        raise SystemError("gort: more modules with ops than native.pyx has room for")
    binds[nbinds] = bind
    nbinds += 1


startmethod = threading.Thread.start
stacksize = threading.stack_size
markearly(gort_pythreads())

gort_keepnone()
install_slots(Awaitable)


cdef int withmethods(object cls, withfn enter, withfn leave) except -1:
    """Have `async with` of a cls call enter(it), and leave(it) whatever happened, where
    `__aenter__` and `__aexit__` would do the same."""
    return gort_fastwith(cls, enter, leave)


cdef object getm():
    return gort_getm_()


cdef void setm(object mp) noexcept:
    # Borrowed: the M's own thread keeps it alive until it calls setm(None).
    global gort_curm
    cdef int i
    gort_curm = NULL if mp is None else <PyObject*>mp
    for i in range(nbinds):
        binds[i](gort_curm, &gort_kept, 0)


cdef void opdrop() noexcept:
    """This thread leaves the runtime: free what it keeps for ops to come."""
    global gort_curm, gort_kept
    cdef int i
    gort_curm = NULL
    for i in range(nbinds):
        binds[i](NULL, NULL, 1)
    Py_XDECREF(gort_kept)
    gort_kept = NULL


cdef uint32_t cheaprand() noexcept nogil:
    return gort_rand()


cdef uint32_t cheaprandn(uint32_t n) noexcept nogil:
    return <uint32_t>((<unsigned long long>gort_rand() * n) >> 32)


cdef class Heap:
    """A 4-ary min-heap of (when, item), first in first out among equal times."""

    def __cinit__(self):
        self.items = NULL

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.n):
            Py_XDECREF(self.items[i].item)
        PyMem_RawFree(self.items)

    def __len__(self):
        return self.n

    cdef int64_t minwhen(self) noexcept:
        return self.items[0].when if self.n else 0

    cdef void push(self, int64_t when, object item):
        cdef Py_ssize_t i, parent
        cdef Entry e
        if self.n == self.cap:
            self.cap = self.cap * 2 if self.cap else 16
            self.items = <Entry*>PyMem_RawRealloc(self.items, self.cap * sizeof(Entry))
            if self.items == NULL:
                raise MemoryError
        Py_INCREF(item)
        self.seq += 1
        e.when = when
        e.seq = self.seq
        e.item = <PyObject*>item
        i = self.n
        self.n += 1
        while i > 0:
            parent = (i - 1) >> 2
            if self.items[parent].when <= when:
                break
            self.items[i] = self.items[parent]
            i = parent
        self.items[i] = e

    cdef object peek(self):
        return <object>self.items[0].item

    cdef object pop(self):
        cdef Entry* a = self.items
        cdef Entry last
        cdef Py_ssize_t i = 0, c, best, end
        item = <object>a[0].item
        Py_XDECREF(a[0].item)  # the heap's reference; `item` holds its own
        self.n -= 1
        if self.n == 0:
            return item
        last = a[self.n]
        while True:
            c = 4 * i + 1
            if c >= self.n:
                break
            end = c + 4 if c + 4 < self.n else self.n
            best = c
            c += 1
            while c < end:
                if a[c].when < a[best].when or (
                    a[c].when == a[best].when and a[c].seq < a[best].seq
                ):
                    best = c
                c += 1
            if last.when < a[best].when or (last.when == a[best].when and last.seq < a[best].seq):
                break
            a[i] = a[best]
            i = best
        a[i] = last
        return item


cdef class Poller:
    """epoll and a break eventfd."""

    def __cinit__(self):
        self.epfd = -1
        self.evfd = gort_eventfd_new(&self.wfd)
        if self.evfd >= 0:
            self.epfd = gort_epoll_new(-1, self.evfd)
        if self.epfd < 0:
            err = errno
            self.close()
            raise OSError(err, f"{os.strerror(err)}: gort cannot make its network poller")

    def fileno(self):
        return self.evfd

    cdef int ctl(self, int op, int fd, int mask, int64_t seq) noexcept:
        """Register (op 1), remove (2) or alter (3) fd; an errno, or 0.

        mask: 1 to read, 2 to write, 4 to report it as long as it is ready, and not just
        once. seq comes back with its events.
        """
        return gort_epoll_ctl(self.epfd, op, fd, mask, seq)

    cdef void breakpoll(self) noexcept:
        gort_eventfd_write(self.wfd)

    cdef int wait(self, events evs, int64_t ns) noexcept:
        """How many events came into evs; ns 0 does not block, negative waits for ever."""
        return gort_epoll_wait(self.epfd, self.evfd, evs, ns)

    cdef bint renew(self) noexcept:
        """Forget all registrations; False when there is no descriptor left to do that.

        Who blocks in wait comes back, to wait anew.
        """
        if gort_epoll_new(self.epfd, self.evfd) < 0:
            return False
        self.breakpoll()
        return True

    cdef void close(self) noexcept:
        if self.epfd >= 0:
            close(self.epfd)
        if self.evfd >= 0:
            close(self.evfd)
        if self.wfd >= 0 and self.wfd != self.evfd:
            close(self.wfd)
        self.epfd = self.evfd = self.wfd = -1


# The first class of sockets that was seen: most are of one.
cdef PyObject* sockets = NULL


cdef object sockref(object o):
    """The weak reference to a socket, the same one as long as someone keeps it; None
    for what may change the file that it stands for."""
    global sockets
    if <PyObject*>Py_TYPE(o) != sockets:
        if not issocket(o):
            return None
        if sockets == NULL:
            Py_INCREF(type(o))
            sockets = <PyObject*>Py_TYPE(o)
    return PyWeakref_NewRef(o, None)


cdef object checkedsocket = None


cdef object socketbase():
    """_socket.socket, of whose instances C may read the number; None while nobody imported it."""
    global checkedsocket
    base = getattr(sys.modules.get("_socket"), "socket", None)
    if base is not None and checkedsocket is not base:
        gort_checksocket(base)
        checkedsocket = base
    return base


cdef bint issocket(object o):
    base = socketbase()
    return (
        base is not None
        and isinstance(o, base)
        and type(o).fileno is base.fileno
        and type(o).__weakrefoffset__ != 0
    )


cdef int socknumber(object o, str what) except -1:
    """The number of an open socket whose recv and send are the system calls."""
    cdef int fd
    if not gort_issocktype(o):
        base = socketbase()
        cls = type(o)
        if base is None or not isinstance(o, base):
            raise TypeError(f"{what}() wants a socket.socket, not {cls.__name__}")
        if cls.fileno is not base.fileno or cls.recv is not base.recv or cls.send is not base.send:
            raise TypeError(
                f"{what}() cannot do what {cls.__name__}.{what} does: call that, and wait "
                "with gort.wait_readable and gort.wait_writable"
            )
        gort_setsocktype(cls)
    fd = gort_sockfileno(o)
    if fd < 0:
        raise ValueError(f"{what}: the socket is closed")
    return fd


cdef int socktake(object sock) except -2:
    """Take a socket's number, of which it knows no more; -1 when somebody else has."""
    if not isinstance(sock, socketbase()):
        raise TypeError(f"expected a socket.socket, not {type(sock).__name__}")
    return gort_socktake(sock)


cdef int dupfd(int fd) noexcept:
    """Another number for the file; -1 when there is none."""
    return fcntl(fd, F_DUPFD_CLOEXEC, 0)


cdef void closefd(int fd) noexcept:
    """Close a number, at once if that is not the file's last."""
    close(fd)


cdef object newosproc(object fn, object arg, str name):
    """Start a daemon thread that runs fn(arg), and do not wait for it; what it returns can be
    joined. Raises RuntimeError when the OS refuses."""
    if threading.Thread.start is not startmethod:
        return startthread(fn, arg, name)  # a debugger's: it wants to see each thread
    cdef Osthread t = Osthread()
    if gort_startosthread((comeup, (fn, arg, name), t.end), stacksize(), &t.id) != 0:
        raise RuntimeError("can't start new thread")
    t.pid = getpid()
    return t


cdef class Osthread:
    """A thread that was started without waiting for it.

    pid: the process whose thread it is, 0 once it is joined; a child that was forked has it not.
    """

    cdef note ended
    cdef pthread_t id
    cdef int pid

    def end(self):
        notewakeup(self.ended)

    def join(self):
        """Wait until it has ended and its thread state is gone; signal handlers run until it
        runs no Python any more. For one caller."""
        while not notesleep(self.ended, -1):
            PyErr_CheckSignals()
        if self.pid == getpid():
            self.pid = 0
            with nogil:
                pthread_join(self.id, NULL)

    def __dealloc__(self):
        if self.pid != 0 and self.pid == getpid():
            pthread_detach(self.id)


cdef bint ismainthread():
    """Whether signal handlers run on the calling thread."""
    return threading.current_thread() is threading.main_thread()


cdef int64_t nforeign():
    """How many Python threads live outside the runtime that module threading knows, without
    the one that called run."""
    cdef int64_t n = -1
    for t in threading.enumerate():
        if not t.name.startswith("gort-"):
            n += 1
    return n


cdef void bootstrangers():
    """A run begins: the threads that are there."""
    markstrangers(gort_pythreads())


cdef int64_t nstrangers():
    """How many threads live that module threading does not know, and that may call."""
    return countstrangers(gort_pythreads())


cdef int64_t address(object o) noexcept:
    """A number that orders channels: select locks in its order."""
    return <int64_t><intptr_t><PyObject*>o


cdef object getident():
    return threading.get_ident()


cdef void immortal(object o):
    """Never drop o, also not when the interpreter ends."""
    Py_INCREF(o)


cdef void raiseasync(int64_t ident, object exc) noexcept:
    """Raise an exception class in another thread's Python code; None takes that back."""
    PyThreadState_SetAsyncExc(<unsigned long>ident, NULL if exc is None else <PyObject*>exc)


cdef object checksignals():
    """Run pending Python signal handlers (main thread only); what one raised, or None."""
    try:
        PyErr_CheckSignals()
    except BaseException as exc:
        return exc
    return None


cdef dict threadstacks():
    """As walkstacks; the last of a frame is the identity of the coroutine whose it is, or 0,
    where the stacks are read in a stopped interpreter."""
    cdef dict stacks = {}
    every = gort_threadstacks()
    if every is None:
        return walkstacks()
    for ident, code, line, space, gen in every:
        stacks.setdefault(ident, []).append((code, line, space.get("__name__", "?"), gen))
    return stacks


cdef object framekey(object coro):
    """What threadstacks() gives for the frame of coro."""
    return id(coro) if FREETHREADED else id(getattr(coro, "cr_frame", None))


cdef object callsite_of(slot code, int32_t lasti):
    """(file name, line, qualified name) of a recorded call site, or None."""
    c = slotpeek(code)
    if c is None:
        return None
    line = c.co_firstlineno
    for start, end, ln in c.co_lines():
        if start <= lasti < end:
            line = ln
            break
    return c.co_filename, line, getattr(c, "co_qualname", c.co_name)


cdef void asyncgen_hooks(object firstiter, object finalizer):
    sys.set_asyncgen_hooks(firstiter, finalizer)
