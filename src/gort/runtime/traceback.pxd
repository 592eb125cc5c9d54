cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport callsite_of, getm, load, nanotime
from .gmp cimport (G, Gdead, Gparking, Gparkready, Grunnable, Grunning, Gscan, Gwaiting, M, P, PSTATE,
                   Psyscall, Sched, allgs, sched)

@cython.locals(mp=M, pp=P)
cpdef str describe(G gp)
cdef bint issystem(G gp)
cpdef str dumpg(G gp, dict frames)
@cython.locals(gp=G)
cpdef str dumpall(int64_t first)
@cython.locals(mp=M)
cdef list stackof(G gp, dict frames)
cdef str header(G gp)
cdef str createdby(G gp)
@cython.locals(mp=M, gp=G)
cpdef object currentg()
cdef str noted(G gp)
