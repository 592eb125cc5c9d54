cimport cython
from libc.stdint cimport int32_t, int64_t

from ..platform.native cimport (RAISE, RETURN, STOPASYNC, YIELD, cheaprandn, install_slots, lock, poolops,
                                store_rel, unlock)
from .chan cimport AGAIN, Chan, Chanop, KSEND, tryrecv, trysend
from .gmp cimport G, M, OPAWAITED, OPDONE, OPEXCUSED, OPNEW, P, WPENDING, WREADY
from .park cimport Op, excuse, gopark

cdef extern from "cases.h":
    Select poolget "gort_poolget"()
    Select moved "gort_moved"(Select v)
    ctypedef Select (*newselectfn "gort_newselectfn")()
    ctypedef int (*addcasefn "gort_addcasefn")(Select sel, Chanop op, int32_t index) except -1
    object gort_fastselect(object slow, object cls, newselectfn make, addcasefn add)
    enum:
        MANY "GORT_MANY"

cdef inline object fastselect(object slow):
    return gort_fastselect(slow, Chanop, newselect, addcase)

@cython.no_gc
cdef class Select(Op):
    cdef Chanop first
    cdef int32_t n
    cdef bint hasdefault
    cdef str opname(self)
    cdef void reset(self) noexcept
    @cython.final
    @cython.locals(sg=Chanop)
    cdef void unlink(self) noexcept
    @cython.locals(sg=Chanop)
    cdef int start(self, P pp) noexcept
    @cython.final
    @cython.locals(sg=Chanop)
    cdef int look(self, P pp) noexcept
    @cython.final
    @cython.locals(sg=Chanop, order=list, n=Py_ssize_t, j=Py_ssize_t)
    cdef int lookmany(self, P pp) noexcept
    @cython.locals(sg=Chanop, won=Chanop)
    cdef int finish(self) noexcept
    @cython.locals(sg=Chanop)
    cdef void unqueue(self) noexcept
    @cython.final
    cdef int chosen(self, Chanop sg, int code) noexcept
    @cython.final
    @cython.locals(sg=Chanop, order=list)
    cdef void sortcases(self) except *
    @cython.final
    @cython.locals(sg=Chanop)
    cdef void untake(self) noexcept

cpdef int64_t lockorder(Chanop sg)
@cython.locals(sg=Chanop)
cdef void sellock(Chanop first) noexcept
@cython.locals(sg=Chanop)
cdef void selunlock(Chanop first) noexcept
cdef int trycase(Chanop sg, P pp) noexcept
@cython.locals(at=Chanop)
cdef int addcase(Select sel, Chanop op, int32_t index) except -1
@cython.locals(op=Select)
cdef Select newselect()
