cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport callsite, getm, load, slot, slotclear, slotpeek, slotput
from .gmp cimport G, M, Sched, sched
from .proc cimport newproc1, newproc2

@cython.final
cdef class Gofunc:
    cdef object ctx
    cdef object fn
    cdef tuple args
    cdef dict kwargs
    cdef slot callcode
    cdef int32_t calllasti
    cdef int64_t parentgoid

@cython.locals(f=Gofunc, mp=M)
cdef Gofunc newgofunc(str what, object fn, tuple args, dict kwargs)
@cython.locals(f=Gofunc)
cdef void startfunc(Gofunc f)
@cython.locals(gp=G)
cdef void spawnfunc(Gofunc f)
