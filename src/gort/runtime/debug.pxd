cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport load, lock, nanotime, unlock
from .gmp cimport M, P, Sched, sched
from .runq cimport runqlen
