cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport Heap, load, lock, nanotime, unlock
from .gmp cimport G, Gscan, Gwaiting, Gparking, M, P, PMSHIFT, PSTATE, Prunning, Psyscall, Puser, Sched, allgs, mof, sched
from .runq cimport runqlen

@cython.locals(pp=P, i=int64_t)
cdef str traceline()
@cython.locals(mp=M, gp=G, i=int64_t, gs=list, ms=list, lockedms=dict)
cdef list tracedetail()
@cython.locals(s=int64_t)
cdef str detailp(P pp)
@cython.locals(pp=P)
cdef str detailm(M mp, dict curg, dict locked, set idle)
@cython.locals(s=int64_t, mp=M)
cdef str detailg(G gp, M lm)
@cython.locals(mp=M)
cdef set sleepers()
cpdef int64_t mid(M mp)
