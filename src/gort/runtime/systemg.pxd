cimport cython
from libc.stdint cimport int32_t

from ..platform.native cimport YIELD, add, atomic, cas, getm, install_slots, load, store
from .gmp cimport (G, Gdead, Gparking, Gparkready, Grunnable, Gwaiting, M, P, Sched, allgadd,
                   allgdel, newg, sched, setsystem, throw)
from .park cimport Op, gopark, win

@cython.final
cdef class Sysg:
    cdef G g
    cdef Sleepop op
    cdef atomic busy
    cdef int32_t reason
    cdef object body

@cython.no_gc
cdef class Sleepop(Op):
    cdef Sysg w
    cdef str opname(self)
    @cython.locals(w=Sysg)
    cdef int start(self, P pp) noexcept

@cython.locals(op=Sleepop)
cpdef Sleepop sleepop(Sysg w)
@cython.locals(gp=G, op=Sleepop)
cdef G wakesysg(Sysg w)
cpdef void leavesysg(Sysg w)
@cython.locals(gp=G)
cdef void dropsysg(Sysg w)
@cython.locals(mp=M)
cpdef G currentg()
cpdef void asuser(G gp, bint user)
