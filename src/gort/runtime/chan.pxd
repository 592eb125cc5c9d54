cimport cython
from libc.stdint cimport int8_t, int32_t, int64_t

from ..platform.native cimport (install_slots, sealed, poolops, RAISE, RETURN, STOPASYNC, YIELD, add, address, cas, cheaprandn, getm, load,
                                lock, mutex, unlikely, unlock)
from .gmp cimport G, M, OPDONE, OPNEW, P, Sched, WPENDING, WREADY, link, sched
from .machine cimport claim, release
from .park cimport Op, gopark, opready, win

cdef extern from "op.h":
    Chanop poolget "gort_poolget"()
    void bufput "gort_bufput"(Ringbuf b, Py_ssize_t i, object o) noexcept
    object buftake "gort_buftake"(Ringbuf b, Py_ssize_t i)
    Chanop moved "gort_moved"(Chanop v)
    void swapvalue "gort_swapvalue"(Chanop a, Chanop b) noexcept
    void chanopput "gort_chanopput"(Chanop op, Chan c, int kind, object value) noexcept

cdef extern from "link.h":
    """
    #define gort_takesudog(head) \\
        gort_linktakeof(head, struct __pyx_obj_4gort_7runtime_4chan_Chanop, qlink)
    """
    void linkput "gort_linkput"(link head, link l, Chanop owner) noexcept
    void linkdel "gort_linkdel"(link head, link l, Chanop owner) noexcept
    Chanop linktake "gort_takesudog"(link head)
    bint linkempty "gort_linkempty"(link head) noexcept

cdef tuple NAMES

cdef enum:
    KSEND = 0
    KRECV = 1
    KRECVOK = 2
    KRANGE = 3
    AGAIN = -1

@cython.final
cdef class Ringbuf:
    cdef list items
    cdef Py_ssize_t cap
    cdef Py_ssize_t head
    cdef Py_ssize_t n
    @cython.locals(old=list)
    cdef bint grow(self) noexcept
    @cython.locals(i=Py_ssize_t)
    cdef void push(self, object v) noexcept
    @cython.locals(i=Py_ssize_t)
    cdef object pop(self)

@cython.final
cdef class Chan:
    cdef mutex lock
    cdef bint closed
    cdef int64_t cap
    cdef Ringbuf buf
    cdef link recvq
    cdef link sendq
    cdef int64_t seq
    cdef object timer
    cdef object __weakref__
    cdef void enqueue(self, Chanop sg) noexcept
    cdef void dequeue(self, Chanop sg) noexcept
    @cython.locals(sg=Chanop)
    cdef Chanop takerecv(self)
    @cython.locals(sg=Chanop)
    cdef Chanop takesend(self)

@cython.no_gc
cdef class Chanop(Op):
    cdef Chan c
    cdef link qlink
    cdef Op sel
    cdef Chanop nextcase
    cdef int8_t kind
    cdef int8_t waited
    cdef int8_t ok
    cdef int8_t used
    cdef int32_t index
    cdef str opname(self)
    cdef void reset(self) noexcept
    @cython.final
    cdef void resetwaited(self) noexcept
    @cython.final
    cdef int deliver(self) noexcept
    @cython.final
    cdef int deliverok(self) noexcept
    cdef int start(self, P pp) noexcept
    cdef int finish(self) noexcept
    @cython.locals(c=Chan)
    cdef void unqueue(self) noexcept

@cython.locals(sg=Chanop)
cdef int trysend(Chanop op, P pp) noexcept
cdef int nomemory(Chanop op) noexcept
@cython.locals(sg=Chanop)
cdef int tryrecv(Chanop op, P pp) noexcept
cdef bint winsudog(Chanop sg) noexcept
cdef void readysudog(Chanop sg, P pp, bint next) noexcept
@cython.locals(op=Chanop)
cdef Chanop newop(Chan c, int kind, object value)
cdef Chanop firstop()
@cython.locals(sg=Chanop, woken=list)
cdef void closechan(Chan c, P pp) except *
@cython.locals(mp=M)
cdef object nowait(Chanop op)
@cython.locals(mp=M)
cdef P enter()
@cython.locals(mp=M)
cdef void leave(P pp)
cdef void needruntime(str what) except *
