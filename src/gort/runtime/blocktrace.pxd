cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport load, threadstacks
from .gmp cimport G, M, P, PMSHIFT, PSTATE, Prunning, Psyscall, Puser, Sched, allgs, sched
from .traceback cimport createdby, stackof

@cython.locals(gp=G, mp=M, place=tuple, id=int64_t)
cdef void blocktrace(dict stays, int64_t now, int64_t limit)
@cython.locals(pp=P, s=int64_t, st=int64_t)
cdef tuple where(M mp)
@cython.locals(gp=G)
cdef G running(M mp)
cdef void report(G gp, M mp, bint insyscall, int64_t now, int64_t ns)
cpdef int64_t elapsed(int64_t now)
