cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (RAISE, add, asyncgen_hooks, cas, getident, getm, immortal, load, lock,
                                setm, store, unlock)
from .gmp cimport G, Gdead, M, P, Sched, WCANCELLED, WPENDING, allgs, nameofg, sched
from .netpoll cimport Netpoll, np
from .park cimport Op
from .world cimport starttheworld, stoptheworld

@cython.final
cdef class Atfork:
    cdef int64_t owner
    cdef P mine
    cdef object reset

cdef Atfork atfork

@cython.locals(gp=G, op=Op)
cdef void buryall()
cdef object bury(G gp, object end)
cdef void losewaiter(Op op)
