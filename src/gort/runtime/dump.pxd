cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport callsite_of, getm, load, lock, nanotime, threadstacks, unlock
from .gmp cimport G, M, P, Sched, allgs, sched
from .traceback cimport currentg, dumpg, dumpgs, stackof, waited
from .world cimport freezetheworld, starttheworld, stoptheworld

@cython.locals(mp=M)
cdef bint inside()
cpdef list records(int64_t now)
@cython.locals(ns=int64_t)
cdef object record(G gp, dict frames, int64_t now)
@cython.locals(gp=G)
cpdef str others(object but, int64_t level)
@cython.locals(gp=G)
cdef int64_t failing()
