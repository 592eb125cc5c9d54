cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport add, getm, load, lock, noteinterrupt, raiseasync, slotswap, store, unlock
from .gmp cimport CTHROW, G, M, Sched, mof, sched
from .machine cimport checkdead, netpollbreak
from .park cimport dropasync, throwmain

cpdef void interrupted(object exc)
@cython.locals(gp=G)
cdef void interruptmain(object exc)
cdef bint pending(G gp)
@cython.locals(mp=M, gp=G)
cdef bint runs(int64_t goid)
@cython.locals(mp=M)
cdef bint runsmain(G gp)
@cython.locals(mp=M)
cdef void wakem0()
@cython.locals(gp=G, mp=M)
cdef void pressmain()
@cython.locals(gp=G)
cpdef void taken()
cdef void abandonmain()
