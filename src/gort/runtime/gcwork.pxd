cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport load, nanotime, store
from .gmp cimport G, P, Sched, sched
from .systemg cimport Sysg, dropsysg, sleepop, wakesysg

cdef enum:
    IDLE = 0
    FORCED = 1
    CEILING = 4
    RECOUNT = 8

@cython.final
cdef class Gcwork:
    cdef bint on
    cdef bint trace
    cdef Sysg w
    cdef int32_t mode
    cdef int32_t gen
    cdef int64_t t0
    cdef int64_t t1
    cdef int64_t t2
    cdef int64_t base
    cdef int64_t idleat
    cdef int64_t forceat
    cdef int64_t old
    cdef int64_t aged
    cdef int64_t young
    cdef int64_t since
    cdef int64_t tookfull
    cdef int64_t cost
    cdef int64_t nextidle
    cdef int64_t nextlook
    cdef int64_t ncollect
    cdef int64_t nforced
    cdef int64_t nfull
    cdef int64_t spent

cdef Gcwork gcw

cpdef void gcenable(bint trace) except *
cpdef void gcrestore() except *
cpdef void gcforked() except *
cdef void setgoals() except *
@cython.locals(n=int64_t)
cdef int64_t allocated() except? -1
cdef bint gcdue(int64_t now)
@cython.locals(n=int64_t, gen=int, left=int64_t)
cdef bint gcfits(int64_t now, int64_t until)
@cython.locals(n=int64_t)
cdef int64_t gcpoll()
@cython.locals(n=int64_t, grown=int64_t, rounds=int64_t)
cdef void gctick(P pp)
cdef int gclook(int64_t now)
@cython.locals(gp=G)
cdef G findgcworker(int mode)
cdef int generation(int64_t n)
@cython.locals(n=int64_t, start=int64_t, ns=int64_t, found=int64_t, gen=int, mode=int)
cpdef void collect() except *
cdef void grown(int gen, int64_t survived)
@cython.locals(now=int64_t, share=int64_t)
cdef void gctrace(int gen, int64_t ns, int64_t found)
cpdef dict gcstats()
