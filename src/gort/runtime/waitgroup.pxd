cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (sealed, install_slots, RETURN, YIELD, atomic, cas, load, lock, mutex, store, unlock)
from .chan cimport enter, leave, needruntime
from .gmp cimport G, P
from .park cimport Op, gopark
from .proc cimport newproc, newproc1, newproc2
from .sema cimport Semop, Waitq, readyall

@cython.final
cdef class WaitGroup:
    cdef atomic state
    cdef mutex mu
    cdef Waitq q
    cdef object __weakref__
    @cython.locals(s=int64_t, c=int64_t)
    cdef bint count(self, int64_t delta)
    @cython.locals(op=Semop, pp=P)
    cdef bint last(self, int64_t s)
    @cython.locals(s=int64_t)
    cdef int park(self, Waitop op)

@cython.no_gc
cdef class Waitop(Semop):
    cdef WaitGroup wg
    cdef str opname(self)
    cdef int start(self, P pp) noexcept
    @cython.locals(wg=WaitGroup, s=int64_t)
    cdef void unqueue(self) noexcept

cdef void setgroup(Waitop op, WaitGroup wg)
cpdef void counted(WaitGroup wg, int64_t delta) except *
@cython.locals(gp=G)
cdef G gomember(WaitGroup wg, object fn, tuple args, dict kwargs)
cdef void memberdone(WaitGroup wg)
