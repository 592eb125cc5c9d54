from ..platform.native cimport getm, load, lock, mutex, unlock
from .gmp cimport Sched, sched
from .proc cimport gcount, inuser, newproc

cdef class Asyncgens:
    cdef mutex lock
    cdef list begun

cdef Asyncgens agens

cdef bint closesuspended()
