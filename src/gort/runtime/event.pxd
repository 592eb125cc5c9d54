cimport cython

from ..platform.native cimport RETURN, YIELD, atomic, install_slots, load, lock, mutex, sealed, store, unlock
from .gmp cimport P
from .park cimport gopark
from .chan cimport enter, leave
from .sema cimport Semop, Waitq, readyall

@cython.final
cdef class Event:
    cdef atomic flag
    cdef mutex mu
    cdef Waitq q
    cdef object __weakref__
    cdef int park(self, Eventop op)

@cython.no_gc
cdef class Eventop(Semop):
    cdef Event ev
    cdef str opname(self)
    cdef int start(self, P pp) noexcept
    @cython.locals(ev=Event)
    cdef void unqueue(self) noexcept

cdef void setevent(Eventop op, Event ev)
@cython.locals(op=Semop, pp=P)
cdef void raiseflag(Event ev)
cdef void lowerflag(Event ev)
