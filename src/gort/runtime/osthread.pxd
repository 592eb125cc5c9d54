cimport cython

from ..platform.native cimport getm, load, lock, unlock
from .gmp cimport G, M, Sched, checkmcount, sched
from .template cimport starttemplatethread

@cython.locals(mp=M, gp=G)
cdef G lockable(str what)
@cython.locals(mp=M)
cdef void dolockosthread(G gp)
@cython.locals(mp=M)
cdef void dounlockosthread(G gp)
