"""The native platform: C words for atomics, locks, notes, slots and the poller."""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, intptr_t, uint32_t

cdef extern from "native.h" nogil:
    ctypedef struct atomic "gort_atomic":
        pass
    ctypedef atomic atomic8 "gort_atomic8"
    ctypedef struct mutex "gort_mutex":
        pass
    ctypedef struct note "gort_note":
        pass
    ctypedef struct slot "gort_slot":
        pass
    ctypedef struct ring "gort_ring":
        pass
    ctypedef struct found "gort_found":
        pass
    ctypedef found events "gort_events"[1]

    int64_t load "gort_load"(atomic a) noexcept
    void store "gort_store"(atomic a, int64_t x) noexcept
    void store_rel "gort_store_rel"(atomic a, int64_t x) noexcept
    bint cas "gort_cas"(atomic a, int64_t old, int64_t new) noexcept
    int64_t add "gort_add"(atomic a, int64_t n) noexcept
    int64_t swap "gort_swap"(atomic a, int64_t x) noexcept
    void fence "gort_fence"() noexcept
    void post "gort_post"(atomic a) noexcept

    void lock "gort_lock"(mutex m) noexcept
    void unlock "gort_unlock"(mutex m) noexcept
    int64_t lockstat "gort_lockstat"(mutex m, int i) noexcept

    void noteclear "gort_noteclear"(note n) noexcept
    void notewakeup "gort_notewakeup"(note n) noexcept
    void noteinterrupt "gort_noteinterrupt"(note n) noexcept
    bint notesleep "gort_notesleep"(note n, int64_t ns) noexcept

    int64_t nanotime "gort_nanotime"() noexcept
    void usleep "gort_usleep"(int64_t us) noexcept

    int evfd "gort_evfd"(events evs, int i) noexcept
    int evmask "gort_evmask"(events evs, int i) noexcept
    int64_t evseq "gort_evseq"(events evs, int i) noexcept

    bint slotset "gort_slotset"(slot s) noexcept
    bint unlikely "gort_unlikely"(bint x) noexcept
    void ringcopy "gort_ringcopy"(ring src, int64_t i, ring dst, int64_t j) noexcept

cdef extern from "native.h":
    object slotswap "gort_slotswap"(slot s, object o)
    void slotput "gort_slotput"(slot s, object o) noexcept
    object slotpeek "gort_slotpeek"(slot s)
    void slotclear "gort_slotclear"(slot s) noexcept
    void ringput "gort_ringput"(ring r, int64_t i, object o) noexcept
    object ringtake "gort_ringtake"(ring r, int64_t i)

    void uncounted "gort_uncounted"(object o) noexcept

    enum:
        RUNQ "GORT_RUNQ"
        YIELD "GORT_YIELD"
        RETURN "GORT_RETURN"
        RAISE "GORT_RAISE"
        STOPASYNC "GORT_STOPASYNC"

    int gothrow "gort_gothrow"(object coro, object exc, slot ctx, slot result) noexcept
    int gocall "gort_gocall"(object fn, tuple args, object kwargs, slot ctx,
                             slot result) noexcept
    void copycontext "gort_copycontext"(slot ctx) noexcept
    void callsite "gort_callsite"(slot code, int32_t lasti) noexcept

cdef extern from "objects.h":
    int gort_seal(object cls, object sig) except -1

cdef inline int sealed(object cls, object sig=None) except -1:
    """Instances of cls come from a call of it, whose signature is sig, or, where that is
    None, from gort alone; they are made once, and not copied."""
    return gort_seal(cls, sig)

@cython.no_gc
cdef class Awaitable:
    cdef object value
    cdef int step(self) noexcept
    cdef void reset(self) noexcept

cdef extern from "op.h":
    ctypedef void (*resetfn "gort_resetfn")(PyObject* op) noexcept
    int gort_install_slots(object cls) except -1
    void gort_poolops_(object cls, resetfn reset) noexcept
    void gort_bind(PyObject* mp, PyObject** kept, int drop) noexcept

ctypedef void (*bindfn)(PyObject* mp, PyObject** kept, int drop) noexcept
cdef void onsetm(bindfn bind) noexcept

cdef inline int install_slots(type cls) except -1:
    """The await slots and the ops' allocator for one op type, which is `cython.no_gc`; and
    this module's M."""
    gort_install_slots(cls)
    onsetm(gort_bind)
    return 0

cdef inline void resetop(PyObject* op) noexcept:
    (<Awaitable>op).reset()

cdef inline void poolops(type cls) noexcept:
    """Keep dead ops of this type for the next ones; one type a module."""
    gort_poolops_(cls, resetop)

ctypedef object (*withfn)(object)
cdef int withmethods(object cls, withfn enter, withfn leave) except -1

cdef object getm()
cdef void setm(object mp) noexcept
cdef void opdrop() noexcept
cdef uint32_t cheaprand() noexcept nogil
cdef uint32_t cheaprandn(uint32_t n) noexcept nogil

cdef class Heap:
    cdef Entry* items
    cdef Py_ssize_t n
    cdef Py_ssize_t cap
    cdef int64_t seq
    cdef int64_t minwhen(self) noexcept
    cdef void push(self, int64_t when, object item)
    cdef object peek(self)
    cdef object pop(self)

cdef struct Entry:
    int64_t when
    int64_t seq
    PyObject* item

cdef class Poller:
    cdef int epfd
    cdef int evfd
    cdef int wfd
    cdef int ctl(self, int op, int fd, int mask, int64_t seq) noexcept
    cdef void breakpoll(self) noexcept
    cdef int wait(self, events evs, int64_t ns) noexcept
    cdef bint renew(self) noexcept
    cdef void close(self) noexcept

cdef object sockref(object o)
cdef int socktake(object sock) except -2
cdef int dupfd(int fd) noexcept
cdef void closefd(int fd) noexcept
cdef int socknumber(object o, str what) except -1

cdef object newosproc(object fn, object arg, str name)
cdef bint ismainthread()
cdef int64_t nforeign()
cdef int64_t nstrangers()
cdef void bootstrangers()
cdef int64_t address(object o) noexcept
cdef object checksignals()
cdef void immortal(object o)
cdef object getident()
cdef void raiseasync(int64_t ident, object exc) noexcept
cdef object callsite_of(slot code, int32_t lasti)
cdef dict threadstacks()
cdef object framekey(object coro)
cdef void asyncgen_hooks(object firstiter, object finalizer)
