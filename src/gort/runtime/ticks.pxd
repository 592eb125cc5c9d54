cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport sealed, getm, load, lock, mutex, nanotime, unlock
from .chan cimport KSEND, Chan, Chanop, enter, leave, needruntime, newop, trysend
from .gmp cimport OPDONE, M, P, Sched, sched
from .gofunc cimport Gofunc, newgofunc, startfunc
from .machine cimport claim, release
from .timers cimport Timer as Rttimer, anyp, armtimer, deadline, stoptimer

@cython.final
cdef class Feed:
    cdef object ref
    cdef Rttimer t
    cdef int64_t period
    cdef int64_t seq
    cdef bint live

@cython.locals(f=Feed)
cdef bint feeds(Chan c)
cdef list dropped
cdef void sweep()
@cython.locals(c=Chan)
cdef Chan newfeed(int64_t when, int64_t period)
cdef Rttimer newshot(Feed f, int64_t seq, int64_t period)
@cython.locals(op=Chanop, pp=P, f=Feed)
cdef void feedtime(Chan c, int64_t seq)
@cython.locals(f=Feed, t=Rttimer, was=bint, v=object)
cdef bint refeed(Chan c, int64_t when, int64_t period)
cdef int64_t firsttime(object seconds) except -1
cdef int64_t periodof(object seconds, str what) except -1

@cython.final
cdef class Timer:
    cdef readonly Chan c
    cdef mutex mu
    cdef Rttimer t
    cdef Gofunc func
    cdef object __weakref__
    @cython.locals(t=Rttimer, old=Rttimer)
    cdef bint again(self, int64_t when)

@cython.final
cdef class Ticker:
    cdef readonly Chan c
    cdef object __weakref__

cdef void startgofunc(Gofunc f)
@cython.locals(timer=Timer)
cdef Timer newfunctimer(Gofunc func, int64_t when)
