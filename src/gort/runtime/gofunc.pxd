cimport cython

from ..platform.native cimport load
from .gmp cimport G, Sched, sched
from .proc cimport newproc

@cython.final
cdef class Gofunc:
    cdef object ctx
    cdef object fn
    cdef tuple args
    cdef dict kwargs

cdef Gofunc newgofunc(str what, object fn, tuple args, dict kwargs)
@cython.locals(f=Gofunc)
cdef void startfunc(Gofunc f)
