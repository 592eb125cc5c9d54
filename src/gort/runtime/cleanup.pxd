cimport cython

from ..platform.native cimport load, notewakeup, post, store
from .gmp cimport G, P, Sched, sched
from .park cimport ready
from .systemg cimport Sysg, asuser, currentg, dropsysg, leavesysg, sleepop, wakesysg

@cython.final
cdef class Cleanups:
    cdef set live
    cdef object queue
    cdef Sysg w
    cdef void reset(self)

cdef Cleanups c

cpdef void startcleanups() except *
cpdef void stopcleanups() except *
@cython.locals(gp=G)
cdef void wakecleanup(P pp)
cpdef object take(object queue)
cpdef void leave(Sysg w)
