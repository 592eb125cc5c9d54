/* What the native platform does in C: atomics, mutexes, notes, object slots,
 * the resume of a coroutine, the await slots, epoll.
 *
 * Two builds, one interface. On a GIL build every field below is touched only
 * with the GIL held, unless its comment says "also without the GIL", so an
 * atomic is a plain word and a mutex a flag. On a free-threaded build both are
 * real. Notes are futexes on both: they are slept on without the GIL. */
#ifndef GORT_NATIVE_H
#define GORT_NATIVE_H

#include <Python.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define gort_likely(x) __builtin_expect(!!(x), 1)
/* Never, as far as where the code goes: it is not inlined, and needs no frame around it. */
#if defined(__has_builtin) && __has_builtin(__builtin_expect_with_probability)
#define gort_unlikely(x) __builtin_expect_with_probability(!!(x), 0, 1.0)
#else
#define gort_unlikely(x) __builtin_expect(!!(x), 0)
#endif

/* ---- reference counts ------------------------------------------------------
 * None, and what gort_uncounted() was told of, is not counted, so nothing writes to what all
 * goroutines share. On a free-threaded build that saves atomic operations. On 3.11 the count
 * of None was the longest chain through an operation: each change waits for the one before.
 * Later versions do not count it either, but look whether it is None (PEP 683). Here it has
 * a count that nothing uses up: what gort does not count, and its callers do, may take away
 * a hundred million a second for three centuries. A look at the count itself, so that Ms
 * and Ps go uncounted there too, cost more than it saved (5 % more instructions). */
#ifdef Py_GIL_DISABLED
#define gort_setuncounted(o) \
    ((o)->ob_tid = _Py_UNOWNED_TID, (o)->ob_ref_local = _Py_IMMORTAL_REFCNT_LOCAL, \
     (void)((o)->ob_ref_shared = 0))
#elif PY_VERSION_HEX >= 0x030E0000
#define gort_setuncounted(o) Py_SET_REFCNT((o), _Py_IMMORTAL_INITIAL_REFCNT)
#elif PY_VERSION_HEX >= 0x030C0000
#define gort_setuncounted(o) Py_SET_REFCNT((o), _Py_IMMORTAL_REFCNT)
#else
#define gort_setuncounted(o) Py_SET_REFCNT((o), (Py_ssize_t)1 << 60)
#endif

static inline void
gort_uncounted(PyObject *o)
{
    gort_setuncounted(o);
}

static inline void
gort_keepnone(void)
{
#if PY_VERSION_HEX < 0x030C0000
    if (Py_REFCNT(Py_None) < (Py_ssize_t)1 << 59)
        gort_uncounted(Py_None);
#endif
}

/* Whether o is None, where the compiler knows it. */
#define gort_isnone(o) (__builtin_constant_p((o) == Py_None) && (o) == Py_None)

static inline __attribute__((always_inline)) void
gort_incref(PyObject *op)
{
    if (!gort_isnone(op))
        Py_INCREF(op);
}

static inline __attribute__((always_inline)) PyObject *
gort_newref(PyObject *op)
{
    gort_incref(op);
    return op;
}

#ifdef Py_GIL_DISABLED
/* CPython's own is too long to be inlined everywhere. Here the last reference of an object
 * that no other thread ever held is dropped without _Py_MergeZeroLocalRefcount. */
static void __attribute__((noinline, unused))
gort_decref_last(PyObject *op)
{
    if (gort_likely(_Py_IsOwnedByCurrentThread(op) && op->ob_ref_local == 1 &&
                    __atomic_load_n(&op->ob_ref_shared, __ATOMIC_ACQUIRE) == 0)) {
        op->ob_ref_local = 0;
        _Py_Dealloc(op);
    }
    else {
        Py_DECREF(op);
    }
}

static inline __attribute__((always_inline)) void
gort_decref(PyObject *op)
{
    if (gort_isnone(op))
        return;
    uint32_t local = __atomic_load_n(&op->ob_ref_local, __ATOMIC_RELAXED);
    if (local == _Py_IMMORTAL_REFCNT_LOCAL)
        return;
    if (gort_unlikely(!_Py_IsOwnedByCurrentThread(op) || local <= 1))
        gort_decref_last(op);
    else
        __atomic_store_n(&op->ob_ref_local, local - 1, __ATOMIC_RELAXED);
}
#else
/* The end of an object is out of the way, so that what only counts needs no frame for it. */
static inline __attribute__((always_inline)) void
gort_decref(PyObject *op)
{
#ifdef Py_REF_DEBUG /* an interpreter that checks all counts */
    Py_DECREF(op);
#else
#if PY_VERSION_HEX < 0x030C0000
    if (op == Py_None)
        return;
#else
    if (gort_isnone(op) || _Py_IsImmortal(op))
        return;
#endif
    if (gort_unlikely(--op->ob_refcnt == 0))
        _Py_Dealloc(op);
#endif
}
#endif

static inline __attribute__((always_inline)) void
gort_xdecref(PyObject *op)
{
    if (op)
        gort_decref(op);
}
#undef Py_INCREF
#define Py_INCREF(op) gort_incref(_PyObject_CAST(op))
#undef Py_NewRef
#define Py_NewRef(op) gort_newref(_PyObject_CAST(op))
#undef Py_DECREF
#define Py_DECREF(op) gort_decref(_PyObject_CAST(op))
#undef Py_XDECREF
#define Py_XDECREF(op) gort_xdecref(_PyObject_CAST(op))

/* ---- atomics --------------------------------------------------------------
 * One 64-bit word, or a byte. Operations are macros that take the field itself, so
 * that the same source line works on an object in the pure platform. */
typedef struct {
    int64_t v;
} gort_atomic;
typedef struct {
    int8_t v;
} gort_atomic8;
#define gort_word(a, x) ((__typeof__((a).v))(x))

#ifdef Py_GIL_DISABLED
#define gort_load(a) __atomic_load_n(&(a).v, __ATOMIC_ACQUIRE)
#define gort_store(a, x) __atomic_store_n(&(a).v, gort_word(a, x), __ATOMIC_SEQ_CST)
#define gort_store_rel(a, x) __atomic_store_n(&(a).v, gort_word(a, x), __ATOMIC_RELEASE)
#define gort_add(a, n) __atomic_add_fetch(&(a).v, gort_word(a, n), __ATOMIC_SEQ_CST)
#define gort_swap(a, x) __atomic_exchange_n(&(a).v, gort_word(a, x), __ATOMIC_SEQ_CST)
#define gort_cas(a, old, new) \
    __extension__({ \
        __typeof__((a).v) old_ = gort_word(a, old); \
        __atomic_compare_exchange_n(&(a).v, &old_, gort_word(a, new), 0, __ATOMIC_SEQ_CST, \
                                    __ATOMIC_ACQUIRE); \
    })
#define gort_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#else
/* Relaxed, because sysmon reads some words without the GIL. */
#define gort_load(a) __atomic_load_n(&(a).v, __ATOMIC_RELAXED)
#define gort_store(a, x) __atomic_store_n(&(a).v, gort_word(a, x), __ATOMIC_RELAXED)
#define gort_store_rel(a, x) gort_store(a, x)
#define gort_add(a, n) \
    __extension__({ \
        int64_t v_ = gort_load(a) + (n); \
        gort_store(a, v_); \
        v_; \
    })
#define gort_swap(a, x) \
    __extension__({ \
        int64_t v_ = gort_load(a); \
        gort_store(a, x); \
        v_; \
    })
#define gort_cas(a, old, new) (gort_load(a) == (old) ? (gort_store(a, new), 1) : 0)
#define gort_fence() ((void)0)
#endif
/* From a weak reference's callback, which may run anywhere: no lock on any platform. */
#define gort_post(a) gort_store((a), 1)

/* Between words that different cores write, or that one writes and another reads. */
#define GORT_LINE 64
#ifdef Py_GIL_DISABLED
typedef struct {
    char apart[GORT_LINE];
} gort_line;
#else
typedef struct {
} gort_line;
#endif

/* ---- the thread's attachment ---------------------------------------------- */
#if PY_VERSION_HEX >= 0x030D0000
#define gort_tstate() PyThreadState_GetUnchecked()
#else
#define gort_tstate() _PyThreadState_UncheckedGet()
#endif

static inline long
gort_futex(int32_t *addr, int op, int32_t val, const struct timespec *ts)
{
    return syscall(SYS_futex, addr, op | FUTEX_PRIVATE_FLAG, val, ts, NULL, 0);
}

/* ---- mutex ----------------------------------------------------------------
 * 0 free, else the process's mark with what follows.
 * With a GIL: 1 held, 2 held and waited for.
 * Without: HELD, how many wait (counted in ONE, until they have it), and WOKEN: one of them is
 * on its way, or spins, so that an unlock need wake nobody. One alone spins, and for no longer
 * than a wake-up takes; who finds it spinning sleeps at once: the fewer cores pull at the
 * lock, the faster it goes round among those that have it in their caches. Whoever comes may
 * have it, before those that wait. Whoever sets WOKEN is awake or has woken one; it goes with
 * the lock to who was woken, or as that sleeps again. After Go's lock2 and sync.Mutex.
 * The slow path lets the GIL (or the attachment) go before it waits, so that a
 * holder that lost it can go on. A word with another mark is as good as free: its
 * holder is a thread of the process that this one was forked from. */
typedef struct {
    int32_t v;
#ifdef GORT_LOCKSTATS /* for bench/gm.py; written by the holder */
    int64_t stats[3];
#endif
} gort_mutex;

/* The mark, held; each extension module has one. Process numbers have 22 bits at most. */
static int32_t gort_held;
#ifdef Py_GIL_DISABLED
#define GORT_MARKSHIFT 10
#define GORT_HELD 1
#define GORT_WOKEN 2
#define GORT_ONE 4
#define GORT_WAITING (((1 << GORT_MARKSHIFT) - 1) & ~3)
#else
#define GORT_MARKSHIFT 2
#define gort_waited (gort_held + 1)
#endif
#define gort_foreign(v) (((v) ^ gort_held) & ~((1 << GORT_MARKSHIFT) - 1))

static void
gort_mark(void)
{
    gort_held = (int32_t)((uint32_t)getpid() << GORT_MARKSHIFT | 1);
}

#define GORT_SPINS 40 /* of 4 pauses each: a few microseconds */
static int gort_spins; /* 0 where no other core can let a lock go meanwhile */

static void __attribute__((constructor))
gort_mark_init(void)
{
    cpu_set_t set;
    gort_mark();
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) > 1)
        gort_spins = GORT_SPINS;
    pthread_atfork(NULL, NULL, gort_mark);
}

#if defined(__x86_64__) || defined(__i386__)
#define gort_pause() __builtin_ia32_pause()
#else
#define gort_pause() ((void)0)
#endif

#ifdef Py_GIL_DISABLED
static inline int
gort_lockcas(gort_mutex *m, int32_t old, int32_t new)
{
    return __atomic_compare_exchange_n(&m->v, &old, new, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void
gort_lock_wait(gort_mutex *m, int32_t v)
{
    PyThreadState *ts = gort_tstate();
    if (ts)
        PyEval_SaveThread();
    if ((v & GORT_WAITING) == GORT_WAITING) { /* no more can be counted: look again */
        struct timespec t = {0, 50000};
        nanosleep(&t, NULL);
    }
    else {
        gort_futex(&m->v, FUTEX_WAIT, v, NULL);
    }
    if (ts)
        PyEval_RestoreThread(ts);
}

static void __attribute__((noinline, unused))
gort_lock_slow(gort_mutex *m)
{
    int32_t mine = 0, counted = 0; /* GORT_WOKEN and GORT_ONE where this thread set them */
    int spins = gort_spins;
    for (;;) {
        int32_t v = __atomic_load_n(&m->v, __ATOMIC_RELAXED);
        if (v && gort_foreign(v)) {
            if (gort_lockcas(m, v, gort_held))
                return;
        }
        else if (!(v & GORT_HELD)) {
            if (gort_lockcas(m, v, ((v | gort_held) & ~mine) - counted))
                return;
        }
        else if (spins > 0 && (mine || !(v & GORT_WOKEN))) {
            if (!(v & GORT_WOKEN)) {
                if (gort_lockcas(m, v, v | GORT_WOKEN))
                    mine = GORT_WOKEN;
                continue;
            }
            for (int i = 0; i < 4; i++)
                gort_pause();
            spins--;
        }
        else if (!counted && (v & GORT_WAITING) == GORT_WAITING) {
            if (!mine || gort_lockcas(m, v, v & ~GORT_WOKEN)) {
                mine = 0;
                gort_lock_wait(m, v);
            }
        }
        else {
            int32_t new = (v & ~mine) + (counted ? 0 : GORT_ONE);
            if (!gort_lockcas(m, v, new))
                continue;
            counted = GORT_ONE;
            gort_lock_wait(m, new);
            mine = GORT_WOKEN; /* or another's, whom the next unlock then wakes once more */
            spins = gort_spins;
        }
    }
}

static void __attribute__((noinline, unused))
gort_unlock_slow(gort_mutex *m)
{
    for (;;) {
        int32_t v = __atomic_load_n(&m->v, __ATOMIC_RELAXED);
        int32_t new = v & ~GORT_HELD;
        int wake = (v & GORT_WAITING) && !(v & GORT_WOKEN);
        if (!(v & (GORT_WAITING | GORT_WOKEN)))
            new = 0;
        if (wake)
            new |= GORT_WOKEN;
        if (!gort_lockcas(m, v, new))
            continue;
        if (wake)
            gort_futex(&m->v, FUTEX_WAKE, 1, NULL);
        return;
    }
}
#else
static void __attribute__((noinline, unused))
gort_lock_slow(gort_mutex *m)
{
    PyThreadState *ts = gort_tstate();
    /* The word changes only under the GIL; only the wait itself is without. */
    while (m->v != 0 && !gort_foreign(m->v)) {
        m->v = gort_waited;
        PyEval_SaveThread();
        gort_futex(&m->v, FUTEX_WAIT, gort_waited, NULL);
        PyEval_RestoreThread(ts);
    }
    m->v = gort_waited;
}
#endif

#ifdef GORT_LOCKSTATS
static int64_t gort_nanotime(void);

/* Counts, in the lock itself: taken, contended, and the nanoseconds waited. */
static void __attribute__((unused))
gort_lock_counted(gort_mutex *m)
{
    int32_t zero = 0;
    if (!__atomic_compare_exchange_n(&m->v, &zero, gort_held, 0, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED)) {
        int64_t t = gort_nanotime();
        gort_lock_slow(m);
        m->stats[1]++;
        m->stats[2] += gort_nanotime() - t;
    }
    m->stats[0]++;
}
#define gort_lockstat(m, i) ((m).stats[i])
#else
#define gort_lockstat(m, i) ((int64_t)0)
#endif

static inline void
gort_lock_(gort_mutex *m)
{
#ifdef GORT_LOCKSTATS
    gort_lock_counted(m);
    return;
#endif
#ifdef Py_GIL_DISABLED
    int32_t zero = 0;
    if (gort_likely(__atomic_compare_exchange_n(&m->v, &zero, gort_held, 0, __ATOMIC_ACQUIRE,
                                                __ATOMIC_RELAXED)))
        return;
#else
    if (gort_likely(m->v == 0)) {
        m->v = gort_held;
        return;
    }
#endif
    gort_lock_slow(m);
}

static inline void
gort_unlock_(gort_mutex *m)
{
#ifdef Py_GIL_DISABLED
    int32_t held = gort_held;
    if (gort_unlikely(!__atomic_compare_exchange_n(&m->v, &held, 0, 0, __ATOMIC_RELEASE,
                                                   __ATOMIC_RELAXED)))
        gort_unlock_slow(m);
#else
    if (gort_likely(m->v == gort_held)) {
        m->v = 0;
        return;
    }
    m->v = 0;
    gort_futex(&m->v, FUTEX_WAKE, 1, NULL);
#endif
}
#define gort_lock(m) gort_lock_(&(m))
#define gort_unlock(m) gort_unlock_(&(m))

/* ---- note: one-shot sleep and wakeup (also without the GIL) ---------------
 * 0 clear, 1 woken, 2 interrupted: the sleeper is to look at signals. */
typedef struct {
    int32_t key;
} gort_note;

static inline int64_t
gort_nanotime(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline void
gort_notewakeup_(gort_note *n)
{
    __atomic_store_n(&n->key, 1, __ATOMIC_SEQ_CST);
    gort_futex(&n->key, FUTEX_WAKE, 1, NULL);
}

static inline void
gort_noteinterrupt_(gort_note *n)
{
    int32_t zero = 0;
    if (__atomic_compare_exchange_n(&n->key, &zero, 2, 0, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
        gort_futex(&n->key, FUTEX_WAKE, 1, NULL);
}

/* Returns 1 when woken, 0 on a time-out (ns >= 0), a signal or an interrupt. */
static int __attribute__((unused))
gort_notesleep_(gort_note *n, int64_t ns)
{
    int r = 0;
    PyThreadState *ts = gort_tstate();
    if (__atomic_load_n(&n->key, __ATOMIC_ACQUIRE) == 1)
        return 1;
    if (ts)
        PyEval_SaveThread();
    int64_t deadline = ns < 0 ? 0 : gort_nanotime() + ns;
    for (;;) {
        int32_t key = __atomic_load_n(&n->key, __ATOMIC_ACQUIRE);
        if (key == 1) {
            r = 1;
            break;
        }
        if (key == 2) {
            __atomic_compare_exchange_n(&n->key, &key, 0, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST);
            break;
        }
        struct timespec t, *tp = NULL;
        if (ns >= 0) {
            int64_t left = deadline - gort_nanotime();
            if (left <= 0)
                break;
            t.tv_sec = left / 1000000000;
            t.tv_nsec = left % 1000000000;
            tp = &t;
        }
        if (gort_futex(&n->key, FUTEX_WAIT, 0, tp) == -1 && errno == EINTR)
            break;
    }
    if (ts)
        PyEval_RestoreThread(ts);
    return r || __atomic_load_n(&n->key, __ATOMIC_ACQUIRE) == 1;
}
#define gort_noteclear(n) __atomic_store_n(&(n).key, 0, __ATOMIC_SEQ_CST)
#define gort_notewakeup(n) gort_notewakeup_(&(n))
#define gort_noteinterrupt(n) gort_noteinterrupt_(&(n))
#define gort_notesleep(n, ns) gort_notesleep_(&(n), (ns))

static inline void
gort_usleep(int64_t us)
{
    struct timespec t = {us / 1000000, (us % 1000000) * 1000};
    PyThreadState *ts = gort_tstate();
    if (ts)
        PyEval_SaveThread();
    nanosleep(&t, NULL);
    if (ts)
        PyEval_RestoreThread(ts);
}

/* ---- slots: owned references that move between threads --------------------
 * A slot's reference is moved, never copied: who swaps it out owns it. */
typedef struct {
    PyObject *v;
} gort_slot;

static inline PyObject *
gort_slotswap_(gort_slot *s, PyObject *o)
{
    PyObject *new = o == Py_None ? NULL : Py_NewRef(o);
#ifdef Py_GIL_DISABLED
    PyObject *old = __atomic_exchange_n(&s->v, new, __ATOMIC_ACQ_REL);
#else
    PyObject *old = s->v;
    s->v = new;
#endif
    return old ? old : Py_NewRef(Py_None);
}
#define gort_slotswap(s, o) gort_slotswap_(&(s), (PyObject *)(o))
/* Out of a slot that one thread alone uses. */
static inline PyObject *
gort_slottake_(gort_slot *s)
{
    PyObject *o = s->v;
    s->v = NULL;
    return o ? o : Py_NewRef(Py_None);
}
#define gort_slottake(s) gort_slottake_(&(s))
/* Into a slot that is empty and that nobody else fills. */
#define gort_slotput(s, o) \
    __atomic_store_n(&(s).v, Py_NewRef((PyObject *)(o)), __ATOMIC_RELEASE)
#define gort_slotset(s) (__atomic_load_n(&(s).v, __ATOMIC_ACQUIRE) != NULL)

#define GORT_RUNQ 256
typedef struct {
    PyObject *v[GORT_RUNQ];
} gort_ring;

static inline void
gort_ringput_(gort_ring *r, int64_t i, PyObject *o)
{
    __atomic_store_n(&r->v[i & (GORT_RUNQ - 1)], Py_NewRef(o), __ATOMIC_RELAXED);
}
/* Moves the reference out; the caller has won index i by advancing the head. */
#define gort_ringtake(r, i) ((r).v[(i) & (GORT_RUNQ - 1)])

/* A thief's batch: raw words read before the CAS, references only after it. */
static inline void
gort_ringcopy_(gort_ring *src, int64_t i, gort_ring *dst, int64_t j)
{
    PyObject *o = __atomic_load_n(&src->v[i & (GORT_RUNQ - 1)], __ATOMIC_RELAXED);
    __atomic_store_n(&dst->v[j & (GORT_RUNQ - 1)], o, __ATOMIC_RELAXED);
}
#define gort_ringput(r, i, o) gort_ringput_(&(r), (i), (PyObject *)(o))
/* With the reference of that local variable, which is None then. */
#define gort_ringmove(r, i, local) \
    do { \
        __atomic_store_n(&(r).v[(i) & (GORT_RUNQ - 1)], (PyObject *)(local), __ATOMIC_RELAXED); \
        (local) = (void *)Py_NewRef(Py_None); \
    } while (0)
#define gort_ringcopy(src, i, dst, j) gort_ringcopy_(&(src), (i), &(dst), (j))

/* Without a look at the item's type. */
#define gort_tupleat(t, i) Py_NewRef(PyTuple_GET_ITEM((t), (i)))

/* Items of a list that its owner's lock protects: by move, without the list's own lock.
 * None stands where nothing is. */
static inline void
gort_listput(PyObject *list, Py_ssize_t i, PyObject *o)
{
    PyObject **at = ((PyListObject *)list)->ob_item + i;
    PyObject *none = *at;
    *at = Py_NewRef(o);
    Py_DECREF(none);
}

static inline PyObject *
gort_listtake(PyObject *list, Py_ssize_t i)
{
    PyObject **at = ((PyListObject *)list)->ob_item + i;
    PyObject *o = *at;
    *at = Py_NewRef(Py_None);
    return o;
}
/* Borrow the list from the Ringbuf that holds it. */
#define gort_bufput(b, i, o) gort_listput((b)->items, (i), (PyObject *)(o))
#define gort_buftake(b, i) gort_listtake((b)->items, (i))

/* ---- resuming a coroutine -------------------------------------------------- */
#define GORT_YIELD 0
#define GORT_RETURN 1
#define GORT_RAISE 2
#define GORT_STOPASYNC 3

static inline PyObject *
gort_fetch_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    PyErr_NormalizeException(&t, &v, &tb);
    if (tb)
        PyException_SetTraceback(v, tb);
    Py_XDECREF(t);
    Py_XDECREF(tb);
    return v;
#endif
}

/* The goroutine's context variables ride in tstate->context, exchanged like a
 * register: a goroutine that never touched one has none and costs nothing. */
static inline PyObject *
gort_context_enter(PyThreadState *ts, gort_slot *ctx)
{
    PyObject *saved = ts->context;
    if (saved != ctx->v) {
        ts->context = ctx->v;
        ts->context_ver++;
    }
    return saved;
}

static inline void
gort_context_exit(PyThreadState *ts, gort_slot *ctx, PyObject *saved)
{
    ctx->v = ts->context;
    if (saved != ctx->v) {
        ts->context = saved;
        ts->context_ver++;
    }
}

static __thread PyThreadState *gort_ts; /* of an M's thread, in the module that resumes */
#define gort_keeptstate() ((void)(gort_ts = gort_tstate()))

static inline int
gort_gogo_(PyObject *coro, gort_slot *ctx, gort_slot *result)
{
    PyThreadState *ts = gort_ts;
    PyObject *out = NULL;
    PyObject *saved = gort_context_enter(ts, ctx);
    PySendResult r = PyCoro_CheckExact(coro)
                         ? PyCoro_Type.tp_as_async->am_send(coro, Py_None, &out)
                         : PyIter_Send(coro, Py_None, &out);
    gort_context_exit(ts, ctx, saved);
    if (r == PYGEN_NEXT) {
        if (gort_likely(out == Py_None)) {
            Py_DECREF(out);
            out = NULL;
        }
        result->v = out;
        return GORT_YIELD;
    }
    if (r == PYGEN_RETURN) {
        result->v = out;
        return GORT_RETURN;
    }
    result->v = gort_fetch_exception();
    return GORT_RAISE;
}
/* Borrows the coroutine, which the running goroutine holds, and that from its M. */
#define gort_gogo(mp) gort_gogo_((mp)->curg->coro, &(mp)->curg->ctx, &(mp)->result)

/* What findrunnable left in mp.nextg is mp.curg now: the reference moves. */
#define gort_setcurg(mp) \
    do { \
        __typeof__((mp)->curg) none_ = (mp)->curg; \
        (mp)->curg = (mp)->nextg; \
        (mp)->nextg = none_; \
    } while (0)

/* The goroutine that ran, with the M's reference. */
#define gort_takecurg(mp) \
    __extension__({ \
        __typeof__((mp)->curg) gp_ = (mp)->curg; \
        (mp)->curg = (void *)Py_NewRef(Py_None); \
        gp_; \
    })

/* coro.throw(exc), as the goroutine. */
static int __attribute__((unused))
gort_gothrow_(PyObject *coro, PyObject *exc, gort_slot *ctx, gort_slot *result)
{
    PyThreadState *ts = gort_tstate();
    PyObject *saved = gort_context_enter(ts, ctx);
    PyObject *out = PyObject_CallMethod(coro, "throw", "O", exc);
    gort_context_exit(ts, ctx, saved);
    if (out) {
        result->v = out;
        return GORT_YIELD;
    }
    out = gort_fetch_exception();
    if (PyErr_GivenExceptionMatches(out, PyExc_StopIteration)) {
        result->v = Py_NewRef(((PyStopIterationObject *)out)->value);
        Py_DECREF(out);
        return GORT_RETURN;
    }
    result->v = out;
    return GORT_RAISE;
}
#define gort_gothrow(coro, exc, ctx, result) \
    gort_gothrow_((coro), (exc), &(ctx), &(result))

/* fn(*args, **kwargs), as the goroutine. */
static int __attribute__((unused))
gort_gocall_(PyObject *fn, PyObject *args, PyObject *kwargs, gort_slot *ctx,
             gort_slot *result)
{
    PyThreadState *ts = gort_tstate();
    PyObject *saved = gort_context_enter(ts, ctx);
    PyObject *out = PyObject_Call(fn, args, kwargs == Py_None ? NULL : kwargs);
    gort_context_exit(ts, ctx, saved);
    if (out) {
        result->v = out;
        return GORT_RETURN;
    }
    result->v = gort_fetch_exception();
    return GORT_RAISE;
}
#define gort_gocall(fn, args, kwargs, ctx, result) \
    gort_gocall_((fn), (args), (kwargs), &(ctx), &(result))

/* The creator's context variables, copied; NULL while there are none. */
static inline void
gort_copycontext_(gort_slot *ctx)
{
    PyThreadState *ts = gort_tstate();
    ctx->v = ts->context ? PyContext_CopyCurrent() : NULL;
}
#define gort_copycontext(ctx) gort_copycontext_(&(ctx))

/* ---- the M of this thread --------------------------------------------------
 * Borrowed: the M's thread holds it. Each module that has op types has its own
 * copy, so that reading it is one load; setm writes them all. */
static __thread PyObject *gort_curm;

static inline PyObject *
gort_getm_(void)
{
    return Py_NewRef(gort_curm ? gort_curm : Py_None);
}

/* def as a builtin in front of the Python function slow, which is its self and gives it
 * module and docstring; its text signature goes before that. One for each def. */
static PyObject *__attribute__((unused))
gort_builtin(PyMethodDef *def, PyObject *slow, const char *sig)
{
    PyObject *doc = NULL, *text = NULL, *module = NULL, *fn = NULL;
    if ((doc = PyObject_GetAttrString(slow, "__doc__")) &&
        (module = PyObject_GetAttrString(slow, "__module__")) &&
        (text = PyUnicode_FromFormat("%s%s\n--\n\n%S", def->ml_name, sig, doc)) &&
        (def->ml_doc = PyUnicode_AsUTF8(text))) {
        Py_INCREF(text); /* for good, as def is */
        fn = PyCFunction_NewEx(def, slow, module);
    }
    Py_XDECREF(doc);
    Py_XDECREF(text);
    Py_XDECREF(module);
    return fn;
}

/* ---- where a goroutine was created: a code object and an offset in it -------
 * Without the frame object that PyThreadState_GetFrame makes: one for each call of a
 * function that starts goroutines. */
#if PY_VERSION_HEX >= 0x030C0000
#define gort_framecode(f) PyUnstable_InterpreterFrame_GetCode(f)
#define gort_framelasti(f) PyUnstable_InterpreterFrame_GetLasti(f)
#elif __has_include("internal/pycore_frame.h")
#define Py_BUILD_CORE
#include "internal/pycore_frame.h"
#undef Py_BUILD_CORE
#define gort_framecode(f) Py_NewRef((PyObject *)(f)->f_code)
#define gort_framelasti(f) (_PyInterpreterFrame_LASTI(f) * (int)sizeof(_Py_CODEUNIT))
#endif
#if PY_VERSION_HEX >= 0x030D0000
#define gort_frame(ts) ((ts)->current_frame)
#else
#define gort_frame(ts) ((ts)->cframe->current_frame)
#endif

static inline void
gort_callsite_(gort_slot *code, int32_t *lasti)
{
#ifdef gort_framecode
    struct _PyInterpreterFrame *f = gort_frame(gort_tstate());
    PyObject *c = f ? gort_framecode(f) : NULL;
    if (!c || !PyCode_Check(c)) { /* the interpreter's own, below a thread's first */
        Py_XDECREF(c);
        return;
    }
    code->v = c;
    *lasti = gort_framelasti(f);
#else
    PyFrameObject *f = PyThreadState_GetFrame(gort_tstate());
    if (!f)
        return;
    code->v = (PyObject *)PyFrame_GetCode(f);
    *lasti = PyFrame_GetLasti(f);
    Py_DECREF(f);
#endif
}
#define gort_callsite(code, lasti) gort_callsite_(&(code), &(lasti))

/* A local variable's own reference, where it is used for the last time: to return the
 * variable itself would count one more and drop one. */
#define gort_moved(v) \
    __extension__({ \
        __typeof__(v) v_ = (v); \
        (v) = NULL; \
        v_; \
    })

static inline PyObject *
gort_slotpeek_(gort_slot *s)
{
    return Py_NewRef(s->v ? s->v : Py_None);
}
/* Only where nobody can swap the slot at the same time. */
#define gort_slotpeek(s) gort_slotpeek_(&(s))
#define gort_slotclear(s) Py_CLEAR((s).v)

/* ---- epoll ------------------------------------------------------------------
 * A registration's datum is its sequence number << 32 | fd: epoll knows a file, which
 * may live on behind a number that names another one by now. */
#define GORT_EVENTS 128
typedef struct {
    struct epoll_event ev[GORT_EVENTS];
} gort_found;
typedef gort_found gort_events[1];

#define gort_evfd(evs, i) ((int)(uint32_t)(evs)->ev[i].data.u64)
#define gort_evseq(evs, i) ((int64_t)((evs)->ev[i].data.u64 >> 32))
#define gort_evmask(evs, i) gort_evmask_((evs)->ev[i].events)

/* 1 to read, 2 to write. */
static inline int
gort_evmask_(uint32_t got)
{
    return ((got & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) |
           ((got & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) << 1;
}

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* epoll_wait for a time in nanoseconds; in whole milliseconds where the kernel has no
 * epoll_pwait2 (before 5.11), or a sandbox refuses it, by whatever errno. */
static int
gort_epoll_timed(int epfd, struct epoll_event *evs, int64_t ns)
{
    static int missing;
    if (!__atomic_load_n(&missing, __ATOMIC_RELAXED)) {
        struct timespec t = {ns / 1000000000, ns % 1000000000};
        int n = (int)syscall(SYS_epoll_pwait2, epfd, evs, GORT_EVENTS, &t, NULL, 0);
        if (n >= 0 || errno == EINTR)
            return n;
        __atomic_store_n(&missing, 1, __ATOMIC_RELAXED);
    }
    int64_t ms = ns / 1000000 + (ns % 1000000 != 0);
    return epoll_wait(epfd, evs, GORT_EVENTS, ms > INT_MAX ? INT_MAX : (int)ms);
}

/* Waits at most ns (0: no wait; negative: for ever) without the GIL; how many events,
 * without the one of the break, which is drained by who waits. */
static int __attribute__((unused))
gort_epoll_wait(int epfd, int evfd, gort_events evs, int64_t ns)
{
    PyThreadState *ts = NULL;
    int n;
    if (ns == 0) {
        n = epoll_wait(epfd, evs->ev, GORT_EVENTS, 0);
    }
    else {
        ts = gort_tstate();
        if (ts)
            PyEval_SaveThread();
        if (ns < 0)
            n = epoll_wait(epfd, evs->ev, GORT_EVENTS, -1);
        else
            n = gort_epoll_timed(epfd, evs->ev, ns);
    }
    if (ts)
        PyEval_RestoreThread(ts);
    for (int i = 0; i < n; i++) {
        if (gort_evfd(evs, i) == evfd) {
            char count[512]; /* an eventfd's is 8 bytes; a pipe may hold more */
            if (ns != 0 && read(evfd, count, sizeof count) < 0) {
                /* another M was faster */
            }
            evs->ev[i] = evs->ev[--n];
            break;
        }
    }
    return n < 0 ? 0 : n;
}

/* op is EPOLL_CTL_*; mask 1 to read, 2 to write, 4 to report it for as long as it is so
 * and not just once. An errno, or 0. */
static inline int
gort_epoll_ctl(int epfd, int op, int fd, int mask, int64_t seq)
{
    struct epoll_event ev;
    memset(&ev, 0, sizeof ev);
    ev.events = (mask & 1 ? EPOLLIN | EPOLLRDHUP : 0) | (mask & 2 ? EPOLLOUT : 0) |
                (mask & 4 ? 0 : EPOLLONESHOT);
    ev.data.u64 = (uint64_t)seq << 32 | (uint32_t)fd;
    return epoll_ctl(epfd, op, fd, &ev) == -1 ? errno : 0;
}

/* An epoll set with evfd in it, under the number epfd (-1: a new one); -1 on error. */
static int __attribute__((unused))
gort_epoll_new(int epfd, int evfd)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    int at = fd;
    if (fd >= 0 && gort_epoll_ctl(fd, EPOLL_CTL_ADD, evfd, 1 | 4, 0) != 0)
        at = -1;
    else if (fd >= 0 && epfd >= 0)
        at = dup3(fd, epfd, O_CLOEXEC);
    if (fd >= 0 && at != fd)
        close(fd);
    return at;
}

/* A file to break a poll with: its number to wait for, and in *wfd that to write to; a pipe
 * where there is no eventfd, or a sandbox refuses it. -1 on error. */
static int __attribute__((unused))
gort_eventfd_new(int *wfd)
{
    int fds[2];
    fds[0] = fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fds[0] < 0 && errno != EMFILE && errno != ENFILE && pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        fds[0] = fds[1] = -1;
    *wfd = fds[1];
    return fds[0];
}

static inline void
gort_eventfd_write(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one);
    (void)n;
}

#endif
