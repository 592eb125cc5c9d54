cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport getm, load, nanotime
from .chan cimport Chan, needruntime
from .gmp cimport M, P, Sched, sched
from .machine cimport claim, release
from .timers cimport Timer, anyp, armtimer, deadline, stoptimer

@cython.locals(mp=M, pp=P)
cdef void startt(Timer t, int64_t when)
