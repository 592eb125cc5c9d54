cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport (getident, getm, lock, mutex, newosproc, note, noteclear, notesleep,
                                notewakeup, unlock)
from .gmp cimport G, M, Sched, checkmcount, fatal, sched

@cython.final
cdef class Handoff:
    cdef mutex lock
    cdef M newm
    cdef bint open
    cdef bint have
    cdef bint waiting
    cdef note wake
    cdef object thread
    cdef int64_t sysmonident

cdef Handoff handoff

cdef void openhandoff()
cdef void newm1(M mp)
cdef void newosprocfailed()
@cython.locals(mp=M)
cdef bint altered()
@cython.locals(monitor=bint)
cdef bint handm(M mp)
@cython.locals(mp=M, next=M)
cdef void startpending()
cdef void closehandoff()
cdef void jointemplate()
cdef void starttemplatethread()
cpdef void templatethread(object arg)
