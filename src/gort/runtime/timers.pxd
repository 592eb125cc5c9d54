cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (install_slots, RAISE, RETURN, YIELD, Heap, cas, getm, load, lock, nanotime, store,
                                unlock)
from .gmp cimport G, M, P, Pdead, PSTATE, Sched, WPENDING, WREADY, sched
from .machine cimport wakenetpoller
from .park cimport Op, gopark, goready, opready, win

@cython.final
cdef class Timer:
    cdef int64_t when
    cdef int64_t period
    cdef object fn
    cdef object arg
    cdef bint armed
    cdef P pp
    cdef object __weakref__

@cython.no_gc
cdef class Sleep(Op):
    cdef int64_t when
    cdef P pp
    cdef str opname(self)
    cdef int start(self, P pp) noexcept
    cdef void unqueue(self) noexcept

@cython.locals(heap=Heap, first=bint)
cdef void addtimer(P pp, int64_t when, object item)
@cython.locals(i=int64_t, pp=P)
cdef P anyp()
@cython.locals(when=int64_t, t=Timer, trimmed=object)
cdef int64_t checktimers(P pp, int64_t now, P mine)
@cython.locals(t=Timer, op=Sleep)
cdef void fire(object item, int64_t now, P mine)
@cython.locals(n=int64_t, when=int64_t, old=Heap, dropped=list, trimmed=list)
cdef void zombie(P pp)
@cython.locals(t=Timer, heap=Heap, dropped=list, dead=bint)
cdef list trim(P pp)
@cython.locals(t=Timer, op=Sleep)
cdef bint alive(object item)
@cython.locals(t=Timer, op=Sleep)
cdef void movetimers(P dead, P to)
cdef int64_t deadline(double seconds) except -1
cdef void armtimer(Timer t, int64_t when, P pp)
cdef bint stoptimer(Timer t)
