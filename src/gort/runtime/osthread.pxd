cimport cython

from ..platform.native cimport getm, load, lock, unlock
from .gmp cimport G, M, Sched, checkmcount, sched
from .template cimport starttemplatethread

@cython.locals(mp=M)
cdef M lockable(str what)
cdef void dolockosthread(M mp, G gp)
cdef void dounlockosthread(M mp)
@cython.locals(gp=G)
cdef void droplockedg(M mp)
