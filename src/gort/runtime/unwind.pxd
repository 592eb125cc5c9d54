cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport cas, load, raiseasync, store
from .gmp cimport CREQ, G, Grunning, M, Sched, allgs, mof, sched

cdef class Unwinding:
    cdef int64_t looked
    cdef dict pressed

cdef Unwinding un

cdef void startunwind()
@cython.locals(gp=G, mp=M)
cpdef void unwind(int64_t now)
cdef bint reached(G gp)
@cython.locals(last=tuple, m0=bint)
cdef void press(G gp, M mp, int64_t now)
cdef bint inusermode(M mp)
