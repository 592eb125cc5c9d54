cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport cas, load, lock, notewakeup, unlock
from .gmp cimport G, M, P, Pidle, Sched, sched
from .machine cimport handoffp, mget, newm, pidleget, pidleput
from .runq cimport globrunqpop, globrunqput

cdef void gmready(G gp)
@cython.locals(pp=P, mp=M)
cdef bint matchmgandunlock()
cdef void matchall()
@cython.locals(pp=P)
cdef bint gmentersyscall(M mp)
cdef void idlepermit(P pp)
