cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport callsite_of, framekey, getm, load, lock, nanotime, threadstacks, unlock
from .gmp cimport (CLOCKSHIFT, G, Gdead, Gparking, Gparkready, Grunnable, Grunning, Gscan, Gwaiting, M, P, PSTATE,
                   Psyscall, Sched, allgs, mof, nameofg, sched)

@cython.locals(mp=M, pp=P)
cpdef str describe(G gp)
cpdef str dumpg(G gp, dict frames, int64_t now, int64_t level)
@cython.locals(gp=G)
cpdef str dumpgs(int64_t first, int64_t now, int64_t level)
cpdef str dumpall(int64_t first)
@cython.locals(mp=M, s=int64_t)
cdef list stackof(G gp, dict frames, bint runtime)
@cython.locals(s=int64_t, ns=int64_t, since=int64_t)
cdef int64_t waited(G gp, int64_t now)
@cython.locals(minutes=int64_t)
cdef str header(G gp, int64_t now)
cdef str createdby(G gp)
@cython.locals(mp=M, gp=G)
cpdef object currentg()
cdef str noted(G gp)
