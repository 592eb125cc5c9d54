/* Ops: their await slots, and their memory. Twins of the names are in pure.py. */
#ifndef GORT_OP_H
#define GORT_OP_H

#include "objects.h"

/* ---- what C knows of the runtime's objects: their heads, which park.py has checked ---- */
struct gort_g {
    PyObject_HEAD
    PyObject *waiting;
    gort_atomic8 status_, cancelreq;
    int8_t waitreason;
};

struct gort_p {
    PyObject_HEAD
    void *vtab;
    gort_line line;
    int64_t id;
    gort_atomic status, preempt;
};

struct gort_m {
    PyObject_HEAD
    void *vtab;
    gort_line line;
    int64_t id;
    struct gort_p *p;
    struct gort_g *curg;
    int64_t userword, runword, sysword;
    int32_t action;
};

/* In a pool `won` is the link: an op that nobody waits with has no use for it, nobody looks
 * at it there, as the pool has the only reference (who may win an op, from a queue, a heap,
 * the table of waiters, holds one), and what it becomes when the op is taken out, 0, is
 * pending. */
struct gort_op {
    PyObject_HEAD
    struct gort_optab *vtab;
    PyObject *value;
    union {
        gort_atomic won;
        PyObject *link;
    };
    PyObject *g, *tw;
    int32_t state, code;
};

struct gort_optab {
    int (*step)(struct gort_op *op);
    void (*reset)(struct gort_op *op);
    int (*start)(struct gort_op *op, struct gort_p *pp);
    int (*finish)(struct gort_op *op);
    int (*resume)(struct gort_op *op, struct gort_m *mp);
};

/* As in gmp.py. */
enum { GORT_OPNEW, GORT_OPPARKED, GORT_OPDONE, GORT_OPYIELDED, GORT_OPAWAITED };
enum { GORT_OPEXCUSED = -1 };
enum { GORT_WPENDING, GORT_WREADY };
enum { GORT_APARK = 1, GORT_AGOSCHED, GORT_AYIELD = 4 };
enum { GORT_GPARKING = 7 };

#define gort_at(o, what, field) \
    (offsetof(__typeof__(*(o)), field) == offsetof(struct gort_##what, field))
#define gort_same(a, b) ((int)(a) == (int)(b))
#define gort_checkop(o_, m_, g_, p_) \
    do { \
        _Static_assert(gort_at(o_, op, won) && gort_at(o_, op, g) && gort_at(o_, op, state) && \
                           gort_at(o_, op, code) && sizeof((o_)->won) == sizeof(PyObject *), \
                       "Op"); \
        _Static_assert(gort_at(m_, m, p) && gort_at(m_, m, curg) && gort_at(m_, m, userword) && \
                           gort_at(m_, m, runword) && gort_at(m_, m, action), \
                       "M"); \
        _Static_assert(gort_at(g_, g, waiting) && gort_at(g_, g, status_) && \
                           gort_at(g_, g, cancelreq) && gort_at(g_, g, waitreason), \
                       "G"); \
        _Static_assert(gort_at(p_, p, status) && gort_at(p_, p, preempt), "P"); \
    } while (0)
/* Lines of their own, where more than one core runs: what is read at each switch, what each
 * idle or wake writes, each counter that all write; and each M and P. A G's words that its
 * switches write lie in its first three half lines and the third of them; its last two, which
 * its neighbour's head may share a line with, are written where it begins and ends. */
#ifdef Py_GIL_DISABLED
#define gort_apart(o, a, b) \
    (offsetof(__typeof__(*(o)), b) >= offsetof(__typeof__(*(o)), a) + GORT_LINE)
#define gort_ends(o, a) (sizeof(*(o)) >= offsetof(__typeof__(*(o)), a) + GORT_LINE)
#else
#define gort_apart(o, a, b) 1
#define gort_ends(o, a) 1
#endif
#define gort_checklines(s_, m_, g_, p_) \
    do { \
        _Static_assert(gort_apart(s_, nprocs, nmspinning) && gort_apart(s_, fatal, nmspinning) && \
                           gort_apart(s_, npidle, runqsize) && gort_apart(s_, runqlate, lock) && \
                           gort_apart(s_, worldsema, netpollwaiters) && \
                           gort_apart(s_, netpollwake, sysmonwait) && \
                           gort_apart(s_, exitnote, goidgen) && \
                           gort_apart(s_, goidgen, nfailed) && gort_ends(s_, safegoal), \
                       "Sched's lines"); \
        _Static_assert(gort_apart(m_, __pyx_vtab, id) && gort_ends(m_, ident), "M's lines"); \
        _Static_assert(gort_apart(p_, __pyx_vtab, id) && gort_apart(p_, link, seentick) && \
                           gort_ends(p_, seensys), \
                       "P's lines"); \
        _Static_assert(offsetof(__typeof__(*(g_)), result) >= 2 * GORT_LINE - 8 || \
                           sizeof(PyObject) == 16, \
                       "G's lines"); \
    } while (0)
/* vtab: a pointer to Op's table of methods. */
#define gort_checkoptab(vtab) \
    _Static_assert(gort_at(vtab, optab, start) && gort_at(vtab, optab, finish) && \
                       gort_at(vtab, optab, resume), \
                   "Op's methods")
#define gort_checkstates(new, parked, done, yielded, awaited, excused, ready, apark, agosched, \
                         ayield, parking) \
    _Static_assert(gort_same(new, GORT_OPNEW) && gort_same(parked, GORT_OPPARKED) && \
                       gort_same(done, GORT_OPDONE) && gort_same(yielded, GORT_OPYIELDED) && \
                       gort_same(awaited, GORT_OPAWAITED) && \
                       gort_same(excused, GORT_OPEXCUSED) && \
                       gort_same(ready, GORT_WREADY) && gort_same(apark, GORT_APARK) && \
                       gort_same(agosched, GORT_AGOSCHED) && gort_same(ayield, GORT_AYIELD) && \
                       gort_same(parking, GORT_GPARKING), \
                   "gmp.py's numbers")

/* ---- await slots -----------------------------------------------------------
 * 3.11 sends through am_send; 3.12 and later call tp_iternext and read the
 * value from StopIteration. One instance a thread is kept and refilled, as
 * long as nobody else holds it. Its value lives until the thread's next op. */
static __thread PyObject *gort_kept;   /* native.pyx's is the thread's; the others' are unused */
static __thread PyObject **gort_keptp; /* where that is; NULL outside the runtime */

#define GORT_STOPPED "what was awaited raised StopIteration"

static inline int
gort_kept_used(void)
{
    return gort_keptp && *gort_keptp && ((PyStopIterationObject *)*gort_keptp)->value;
}

static inline void
gort_kept_clear(void)
{
    if (gort_kept_used())
        Py_CLEAR(((PyStopIterationObject *)*gort_keptp)->value);
}

static inline void
gort_stop_iteration(PyObject *value)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyStopIterationObject *kept =
        gort_keptp ? (PyStopIterationObject *)*gort_keptp : NULL;
    if (kept && Py_REFCNT(kept) == 1) {
        PyObject *old = kept->value;
        kept->value = value;
        Py_XDECREF(old);
        Py_CLEAR(kept->traceback);
        PyErr_SetRaisedException(Py_NewRef((PyObject *)kept));
        return;
    }
    /* Without arguments: `args` would hold on to this thread's first value. */
    PyObject *exc = PyObject_CallNoArgs(PyExc_StopIteration);
    if (exc) {
        Py_SETREF(((PyStopIterationObject *)exc)->value, Py_NewRef(value));
        if (gort_keptp)
            Py_XSETREF(*gort_keptp, Py_NewRef(exc));
        PyErr_SetRaisedException(exc);
    }
    Py_DECREF(value);
#else
    PyObject *exc = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (exc) {
        PyErr_SetObject(PyExc_StopIteration, exc);
        Py_DECREF(exc);
    }
    Py_DECREF(value);
#endif
}

/* From 3.12 on an await would take a StopIteration for what it gives: none leaves an op, on
 * any version, as none leaves a coroutine (PEP 479). */
static void __attribute__((noinline, unused))
gort_raise_stop(PyObject *value)
{
    PyObject *exc = PyObject_CallFunction(PyExc_RuntimeError, "s", GORT_STOPPED);
    if (!exc)
        return;
    PyException_SetCause(exc, Py_NewRef(value));
    PyException_SetContext(exc, Py_NewRef(value));
    PyErr_SetObject(PyExc_RuntimeError, exc);
    Py_DECREF(exc);
}

static void __attribute__((noinline, unused))
gort_raise(int code, PyObject *value)
{
    if (code == GORT_STOPASYNC)
        PyErr_SetNone(PyExc_StopAsyncIteration);
    else if (PyErr_GivenExceptionMatches(value, PyExc_StopIteration))
        gort_raise_stop(value);
    else
        PyErr_SetObject((PyObject *)Py_TYPE(value), value);
    Py_XDECREF(value);
}

/* A step of an op whose type has Op's own step() and resume(): the same, without a call and
 * a count of M and P, where nothing is in the way. The P is claimed before start() and
 * released, by a release store, after it. */
static inline int
gort_opstart(struct gort_op *op, struct gort_m *mp, struct gort_p *pp)
{
    int code = op->vtab->start(op, pp);
    if (code == GORT_YIELD) {
        if (op->state == GORT_OPAWAITED)
            op->state = GORT_OPPARKED;
        return GORT_YIELD;
    }
    if (gort_likely(gort_load(pp->preempt) == 0)) {
        op->state = GORT_OPDONE;
        gort_store_rel(pp->status, mp->userword);
        return code;
    }
    op->state = GORT_OPYIELDED;
    op->code = code;
    mp->action = GORT_AGOSCHED;
    return GORT_YIELD;
}

static inline int
gort_opfinish(struct gort_op *op, struct gort_g *gp)
{
    PyObject *waiting = gp->waiting;
    op->state = GORT_OPDONE;
    op->g = Py_NewRef(Py_None);
    Py_DECREF(gp); /* its M holds it, and who steps the op holds that */
    gp->waiting = Py_NewRef(Py_None);
    Py_DECREF(waiting);
    return op->vtab->finish(op);
}

static inline int
gort_opstep(struct gort_op *op)
{
    struct gort_m *mp = (struct gort_m *)gort_curm;
    if (gort_likely(mp && (PyObject *)mp->curg != Py_None)) {
        if (op->state == GORT_OPAWAITED) {
            if (gort_likely(gort_load(mp->curg->cancelreq) == 0 &&
                            (PyObject *)mp->p != Py_None &&
                            gort_cas(mp->p->status, mp->userword, mp->runword)))
                return gort_opstart(op, mp, mp->p);
        }
        else if (op->state == GORT_OPPARKED && op->g == (PyObject *)mp->curg &&
                 gort_load(op->won) == GORT_WREADY) {
            return gort_opfinish(op, mp->curg);
        }
    }
    return op->vtab->step(op);
}

/* park.gopark(). The store of the status is a release: who reads parking sees the fields. */
static inline void
gort_gopark_(struct gort_op *op, int8_t reason)
{
    if (op->tw != Py_None)
        return;
    struct gort_m *mp = (struct gort_m *)gort_curm;
    struct gort_g *gp = mp->curg;
    Py_SETREF(op->g, Py_NewRef((PyObject *)gp));
    Py_SETREF(gp->waiting, Py_NewRef((PyObject *)op));
    gp->waitreason = reason;
    mp->action = GORT_APARK;
    gort_store_rel(gp->status_, GORT_GPARKING);
}
#define gort_gopark(op, reason) gort_gopark_((struct gort_op *)(op), (reason))

/* A value goes from one op to another, which has None: under the lock of their channel, as one
 * of them is a waiter that was won there and runs only after it. */
#define gort_swapvalue(a, b) \
    do { \
        struct gort_op *a_ = (struct gort_op *)(a), *b_ = (struct gort_op *)(b); \
        PyObject *v_ = a_->value; \
        a_->value = b_->value; \
        b_->value = v_; \
    } while (0)

/* The fields of a channel's op that has None there: a new one, or one from the pool, that
 * nobody but its maker has yet. */
#define gort_chanopput(op, c_, kind_, value_) \
    do { \
        Py_INCREF(c_); \
        (op)->c = (c_); \
        (op)->kind = (kind_); \
        ((struct gort_op *)(op))->value = Py_NewRef(value_); \
    } while (0)

/* What the op gives, where that is not to yield. None is there already: one that all
 * goroutines share is not written to. */
static inline PyObject *
gort_opvalue(struct gort_op *op)
{
    PyObject *value = op->value;
    if (value == Py_None)
        return Py_NewRef(Py_None);
    op->value = Py_NewRef(Py_None);
    return value;
}

static inline PyObject *
gort_nextresult(struct gort_op *op, int code)
{
    if (code == GORT_YIELD)
        Py_RETURN_NONE;
    PyObject *value = gort_opvalue(op);
    if (code != GORT_RETURN)
        gort_raise(code, value);
    else if (value == Py_None) /* NULL without an exception means None, and is free */
        Py_DECREF(value);
    else
        gort_stop_iteration(value);
    return NULL;
}

static inline PySendResult
gort_sendresult(struct gort_op *op, int code, PyObject **result)
{
    if (code == GORT_YIELD) {
        *result = Py_NewRef(Py_None);
        return PYGEN_NEXT;
    }
    *result = gort_opvalue(op);
    if (gort_likely(code == GORT_RETURN))
        return PYGEN_RETURN;
    gort_raise(code, *result);
    *result = NULL;
    return PYGEN_ERROR;
}

/* The slots of an op with a step() or a resume() of its own. */
static PyObject *__attribute__((noinline, unused))
gort_iternext(PyObject *o)
{
    struct gort_op *op = (struct gort_op *)o;
    gort_kept_clear();
    return gort_nextresult(op, op->vtab->step(op));
}

static PySendResult __attribute__((noinline, unused))
gort_am_send(PyObject *o, PyObject *arg, PyObject **result)
{
    struct gort_op *op = (struct gort_op *)o;
    return gort_sendresult(op, op->vtab->step(op), result);
}

/* And of all others. */
static PyObject *__attribute__((unused))
gort_opnext(PyObject *o)
{
    struct gort_op *op = (struct gort_op *)o;
    gort_kept_clear();
    return gort_nextresult(op, gort_opstep(op));
}

static PySendResult __attribute__((unused))
gort_opsend(PyObject *o, PyObject *arg, PyObject **result)
{
    struct gort_op *op = (struct gort_op *)o;
    return gort_sendresult(op, gort_opstep(op), result);
}

/* What `await` asks for. An op that was not asked so, or that no other op or wait has, is one
 * that a user forgot to await: to iterate it is an error, and to drop it a warning. */
static PyObject *__attribute__((unused))
gort_opawait(PyObject *o)
{
    if (gort_likely(((struct gort_op *)o)->state <= GORT_OPNEW))
        ((struct gort_op *)o)->state = GORT_OPAWAITED;
    return Py_NewRef(o);
}

static PyObject *__attribute__((unused))
gort_opiter(PyObject *o)
{
    if (((struct gort_op *)o)->state <= GORT_OPNEW) {
        ((struct gort_op *)o)->state = GORT_OPEXCUSED;
        return PyErr_Format(PyExc_TypeError, "%S is an operation, which is not iterable: "
                            "await it", o);
    }
    return Py_NewRef(o);
}

/* __await__, __iter__ and __next__ by their names: as by the slots. */
static PyObject *
gort_dunder_await(PyObject *o, PyObject *none)
{
    return Py_TYPE(o)->tp_as_async->am_await(o);
}

static PyObject *
gort_dunder_iter(PyObject *o, PyObject *none)
{
    return Py_TYPE(o)->tp_iter(o);
}

static PyObject *
gort_dunder_next(PyObject *o, PyObject *none)
{
    PyObject *r = Py_TYPE(o)->tp_iternext(o);
    if (!r && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return r;
}

static int
gort_opdunders(PyTypeObject *t)
{
    static PyMethodDef defs[] = {
        {"__await__", gort_dunder_await, METH_NOARGS, "What drives it: for code that awaits by hand."},
        {"__iter__", gort_dunder_iter, METH_NOARGS, "Of what __await__ gave, itself."},
        {"__next__", gort_dunder_next, METH_NOARGS, "One step; StopIteration has the result."},
    };
    for (int i = 0; i < 3; i++)
        if (gort_putmethod(t, &defs[i]) < 0)
            return -1;
    return 0;
}

/* The end of an op that was never awaited, in tp_dealloc: revive it, say so, and drop it anew,
 * as one that is done with. What a warning's filter raises nobody can catch. */
static void gort_renew(PyObject *o);

static void __attribute__((noinline, unused))
gort_opforgotten(PyObject *o)
{
    gort_renew(o);
    ((struct gort_op *)o)->state = GORT_OPDONE;
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    PyObject *r = PyObject_CallMethod(o, "_forgotten", NULL);
    if (!r)
        PyErr_WriteUnraisable(o);
    Py_XDECREF(r);
    PyErr_Restore(t, v, tb);
    Py_DECREF(o);
}
/* In the tp_dealloc of t: it runs for a part of what is of another type, too. */
#define gort_isforgotten(o, t) \
    (gort_unlikely(((struct gort_op *)(o))->state == GORT_OPNEW) && Py_TYPE(o) == (t))

/* tp_dealloc of the types of ops of a module. */
#define GORT_OPTYPES 4
static PyTypeObject *gort_optypes[GORT_OPTYPES];
static destructor gort_opdeallocs[GORT_OPTYPES];
#define gort_opdealloc_n(n) \
    static void gort_opdealloc_##n(PyObject *o) \
    { \
        if (gort_isforgotten(o, gort_optypes[n])) \
            gort_opforgotten(o); \
        else \
            gort_opdeallocs[n](o); \
    }
gort_opdealloc_n(0)
gort_opdealloc_n(1)
gort_opdealloc_n(2)
gort_opdealloc_n(3)

static int
gort_watchdealloc(PyTypeObject *t)
{
    static const destructor watched[GORT_OPTYPES] = {gort_opdealloc_0, gort_opdealloc_1,
                                                     gort_opdealloc_2, gort_opdealloc_3};
    for (int i = 0; i < GORT_OPTYPES; i++) {
        if (!gort_optypes[i]) {
            gort_optypes[i] = t;
            gort_opdeallocs[i] = t->tp_dealloc;
            t->tp_dealloc = watched[i];
            return 0;
        }
    }
    PyErr_Format(PyExc_SystemError, "gort: more than %d types of ops in a module", GORT_OPTYPES);
    return -1;
}

static int
gort_opnoinit(PyObject *o, PyObject *args, PyObject *kwargs)
{
    if (((struct gort_op *)o)->state == GORT_OPNEW)
        ((struct gort_op *)o)->state = GORT_OPEXCUSED;
    return gort_noinit(o, args, kwargs);
}

/* Ops are short-lived: their memory goes round a free list, one for each M, of
 * blocks of one size (all op types fit in it). The collector never sees one: their
 * types have no part in it, so that none has the collector's header. */
#define GORT_OPSIZE ((Py_ssize_t)(96 + sizeof(PyObject)))
#define GORT_OPFREE 256
static __thread char *gort_opfree;
static __thread int gort_nopfree;

static PyObject *__attribute__((unused))
gort_opalloc(PyTypeObject *t, Py_ssize_t n)
{
    char *o = gort_opfree;
    if (t->tp_basicsize > GORT_OPSIZE)
        return PyErr_Format(PyExc_SystemError, "gort: %s outgrew GORT_OPSIZE", t->tp_name);
    if (gort_likely(o != NULL)) {
        gort_opfree = *(char **)o;
        gort_nopfree--;
    }
    else if (!(o = PyObject_Malloc((size_t)GORT_OPSIZE))) {
        return PyErr_NoMemory();
    }
    memset(o, 0, (size_t)t->tp_basicsize);
    return PyObject_Init((PyObject *)o, t);
}

static void __attribute__((unused))
gort_opdealloc(void *op)
{
    char *o = op;
    if (gort_likely(gort_nopfree < GORT_OPFREE && gort_curm)) {
        *(char **)o = gort_opfree;
        gort_opfree = o;
        gort_nopfree++;
    }
    else {
        PyObject_Free(o);
    }
}

static void __attribute__((unused))
gort_opfree_drop(void)
{
    while (gort_opfree) {
        char *o = gort_opfree;
        gort_opfree = *(char **)o;
        PyObject_Free(o);
    }
    gort_nopfree = 0;
}

/* A module's most used op type keeps dead ops whole: each thread has a list of
 * them with one reference, their fields cleared by `reset`, linked through
 * `link`. What a thread leaves there goes when it leaves the runtime. */
#define GORT_POOLSIZE 64
typedef void (*gort_resetfn)(PyObject *op);
static PyTypeObject *gort_pooltype;
static destructor gort_pooldealloc;
static gort_resetfn gort_reset;
static __thread int gort_poolmax = GORT_POOLSIZE; /* 0 while tracemalloc is to know where each was made */
static __thread PyObject *gort_pool;
static __thread int gort_npool;

static inline PyObject *
gort_poolget(void)
{
    PyObject *o = gort_pool;
    if (gort_likely(o != NULL)) {
        gort_pool = ((struct gort_op *)o)->link;
        ((struct gort_op *)o)->link = NULL;
        gort_npool--;
        return o;
    }
    return Py_NewRef(Py_None);
}

/* A dead object is this thread's again, with one reference. */
static inline void
gort_renew(PyObject *o)
{
#ifdef Py_GIL_DISABLED
    o->ob_tid = _Py_ThreadId();
    o->ob_ref_local = 1;
    o->ob_ref_shared = 0;
#else
    Py_SET_REFCNT(o, 1);
#endif
}

static inline void
gort_pool_put_(PyObject *o, int isop)
{
    if (isop && gort_isforgotten(o, gort_pooltype)) {
        gort_opforgotten(o);
        return;
    }
    if (gort_likely(Py_TYPE(o) == gort_pooltype && gort_npool < gort_poolmax && gort_curm)) {
        gort_renew(o);
        gort_reset(o); /* may run a user's code, which finds the list without o */
        ((struct gort_op *)o)->link = gort_pool;
        gort_pool = o;
        gort_npool++;
        return;
    }
    gort_pooldealloc(o);
}

static void __attribute__((unused))
gort_pool_put(PyObject *o)
{
    gort_pool_put_(o, 1);
}

#define GORT_NODOMAIN 0x676f7274u /* tracemalloc's: one that nothing is in */

/* setm in this module; with drop the thread leaves the runtime for good. */
static void __attribute__((unused))
gort_bind(PyObject *mp, PyObject **kept, int drop)
{
    int max = PyTraceMalloc_Untrack(GORT_NODOMAIN, 0) == -2 ? GORT_POOLSIZE : 0;
    gort_curm = mp;
    gort_keptp = kept;
    if (gort_poolmax != max)
        gort_poolmax = max;
    while ((drop || max == 0) && gort_pool) {
        PyObject *o = gort_pool;
        gort_pool = ((struct gort_op *)o)->link;
        Py_SET_REFCNT(o, 0);
        gort_npool--;
        gort_pooldealloc(o);
    }
    if (drop) {
        gort_opfree_drop();
    }
}

static void __attribute__((unused))
gort_poolops_(PyObject *type, gort_resetfn reset)
{
    PyTypeObject *t = (PyTypeObject *)type;
    gort_reset = reset;
    gort_pooltype = t;
    gort_pooldealloc = t->tp_dealloc;
    for (int i = 0; i < GORT_OPTYPES; i++)
        if (gort_optypes[i] == t)
            gort_pooldealloc = gort_opdeallocs[i]; /* what lies in the pool was not forgotten */
    t->tp_dealloc = gort_pool_put;
}

/* The table of methods of a type, from an instance. */
static struct gort_optab *__attribute__((unused))
gort_optabof(PyTypeObject *t)
{
    PyObject *none = PyTuple_New(0);
    PyObject *op = none ? t->tp_new(t, none, NULL) : NULL;
    struct gort_optab *vtab = op ? ((struct gort_op *)op)->vtab : NULL;
    if (op)
        ((struct gort_op *)op)->state = GORT_OPEXCUSED;
    Py_XDECREF(op);
    Py_XDECREF(none);
    return vtab;
}

/* Op, where t is a type of ops. */
static PyTypeObject *
gort_opbase(PyTypeObject *t)
{
    while (t && strcmp(t->tp_name, "gort.runtime.park.Op") != 0)
        t = t->tp_base;
    return t;
}

/* Whether t is a type of ops with Op's own step() and resume(); -1 on an error. It is an op's
 * or, as native.pyx's awaitable itself, made of no class but that. */
static int __attribute__((unused))
gort_plainop(PyTypeObject *t)
{
    PyTypeObject *base = gort_opbase(t);
    struct gort_optab *mine, *ops;
    if (!base) {
        if (t->tp_base == &PyBaseObject_Type || t->tp_base->tp_base == &PyBaseObject_Type)
            return 0;
        PyErr_Format(PyExc_SystemError, "gort: %s is no subclass of park.Op", t->tp_name);
        return -1;
    }
    if (!(mine = gort_optabof(t)) || !(ops = gort_optabof(base)))
        return -1;
    return mine->step == ops->step && mine->resume == ops->resume;
}

/* Ops await themselves: am_await returns the op. */
static int __attribute__((unused))
gort_install_slots(PyObject *type)
{
    PyTypeObject *t = (PyTypeObject *)type;
    if (t->tp_basicsize > GORT_OPSIZE || PyType_IS_GC(t)) {
        PyErr_Format(PyExc_SystemError, "gort: %s %s", t->tp_name,
                     PyType_IS_GC(t) ? "is not no_gc" : "outgrew GORT_OPSIZE");
        return -1;
    }
    int plain = gort_plainop(t);
    PyAsyncMethods *slots = PyMem_Malloc(sizeof *slots); /* for good, as t is */
    if (plain < 0 || !slots)
        return slots ? -1 : (PyErr_NoMemory(), -1);
    t->tp_alloc = gort_opalloc;
    t->tp_free = gort_opdealloc;
    t->tp_iter = PyObject_SelfIter;
    t->tp_iternext = plain ? gort_opnext : gort_iternext;
    *slots = *t->tp_as_async; /* its base's, which it shares */
    slots->am_await = PyObject_SelfIter;
    slots->am_send = plain ? gort_opsend : gort_am_send;
    t->tp_as_async = slots;
    if (gort_opdunders(t) < 0)
        return -1;
    if (gort_opbase(t)) {
        slots->am_await = gort_opawait;
        t->tp_iter = gort_opiter;
        if (gort_watchdealloc(t) < 0)
            return -1;
    }
    if (gort_seal(type, Py_None) < 0)
        return -1;
    t->tp_init = gort_opbase(t) ? gort_opnoinit : gort_noinit;
    return 0;
}

#endif
