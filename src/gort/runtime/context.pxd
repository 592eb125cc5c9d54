cimport cython
from libc.stdint cimport int64_t

from ..platform.native cimport RAISE, RETURN, Awaitable, atomic, cas, install_slots, load, nanotime, sealed, store, usleep
from .chan cimport Chan, closechan, enter, leave, needruntime
from .gmp cimport P, Sched, sched
from .gofunc cimport Gofunc, newgofunc, startfunc
from .scope cimport Leavescope, Scope, cancelscope, enterscope, leave as leaveblock
from .ticks cimport dropped, sweep
from .timers cimport Timer as Rttimer, anyp, armtimer, deadline as deadlinein, stoptimer

cdef enum:
    LIVE = 0
    CANCELLING = 1
    CANCELLED = 2

@cython.final
cdef class Node:
    cdef Node parent
    cdef dict children
    cdef dict funcs
    cdef atomic state
    cdef object err
    cdef object cause
    cdef object chanref
    cdef Rttimer t
    cdef int64_t when
    cdef object __weakref__
    cdef void close(self)

@cython.final
cdef class Context:
    cdef Node node
    cdef Chan c
    cdef Context parent
    cdef object key
    cdef object val
    cdef bint isdone(self)
    @cython.locals(at=Context)
    cdef object lookup(self, object key)

@cython.final
cdef class CancelFunc:
    cdef Context ctx

@cython.final
cdef class AfterFunc:
    cdef Node node
    cdef Gofunc func
    cdef Scope sc
    cdef atomic state
    cdef object __weakref__

cdef class Ctxscope(Scope):
    cdef Context ctx
    cdef AfterFunc stop
    cdef object verdict(self, object exc, bint own, bint outer)

@cython.no_gc
cdef class Enterctx(Awaitable):
    cdef Ctxscope sc
    cdef int step(self) noexcept

cdef void setscope(Enterctx op, Ctxscope sc)
@cython.locals(stop=AfterFunc, node=Node)
cdef void watch(Ctxscope sc)
cdef void setcontext(Ctxscope sc, Context ctx)
@cython.locals(stop=AfterFunc)
cdef AfterFunc newafterfunc(Node node, Gofunc func)
cdef Context checkparent(object parent, str what)
@cython.locals(node=Node, ctx=Context)
cdef Context newcontext(Context parent, int64_t when)
@cython.locals(ref=object)
cdef void adopt(Node parent, Node node)
@cython.locals(child=Node, at=Node, todo=list, seen=list)
cdef void cancelnode(Node node, object err, object cause)
@cython.locals(f=AfterFunc)
cdef void cancelone(Node node, object err, object cause)
@cython.locals(old=Rttimer)
cdef void stopdeadline(Node node)
@cython.locals(gen=int64_t)
cdef dict pins()
@cython.locals(ctx=Context, node=Node, cancel=CancelFunc, t=Rttimer)
cdef tuple withdeadline(Context parent, int64_t when)
@cython.locals(at=Node)
cdef void register(Node node, AfterFunc f)
@cython.locals(at=Node)
cdef void unregister(AfterFunc f)
cdef void runafter(AfterFunc f)
cdef void expire(Node node)
cdef void initbackground(Context ctx)
@cython.locals(ctx=Context)
cdef Context valuecontext(Context parent, object key, object value)
