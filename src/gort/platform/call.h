/* Functions of Python code with a C entry that takes its arguments as they lie. */
#ifndef GORT_CALL_H
#define GORT_CALL_H

#include "native.h"

/* ---- (fn, /, *args, **kwargs), without a dict where there are no keywords ------ */
typedef PyObject *(*gort_callfn)(PyObject *fn, PyObject *args);
static gort_callfn gort_called;

/* self is the function as Python code has it. */
static PyObject *
gort_positional(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (gort_likely(nargs > 0 && !kwnames && PyCallable_Check(args[0]))) {
        PyObject *rest = PyTuple_New(nargs - 1);
        if (!rest)
            return NULL;
        for (Py_ssize_t i = 1; i < nargs; i++)
            PyTuple_SET_ITEM(rest, i - 1, Py_NewRef(args[i]));
        PyObject *r = gort_called(args[0], rest);
        Py_DECREF(rest);
        return r;
    }
    return PyObject_Vectorcall(self, args, (size_t)nargs, kwnames);
}

static PyObject *__attribute__((unused))
gort_fastcall(PyObject *slow, const char *name, gort_callfn call)
{
    static PyMethodDef def = {NULL, (PyCFunction)(void (*)(void))gort_positional,
                              METH_FASTCALL | METH_KEYWORDS, NULL};
    def.ml_name = name;
    gort_called = call;
    return gort_builtin(&def, slow, "(fn, /, *args, **kwargs)");
}

/* ---- gosched(): METH_FASTCALL, whose calls the interpreter specialises, as it does not
 * those of METH_NOARGS ------------------------------------------------------------ */
typedef PyObject *(*gort_makefn)(void);
static gort_makefn gort_made;
/* Where the fields lie; set before the first op is made. */
static struct gort_at {
    size_t curg, p, userword, runword, action; /* of an M */
    size_t waiting, cancelreq;                 /* of a G */
    size_t status;                             /* of a P */
    int32_t ayield;
} gort_at;
#define GORT_AT(type, o, field) (*(type *)((char *)(o) + gort_at.field))

/* Whether nobody but the field it lies in holds o, and this thread made it. Acquire: another
 * thread that awaited it has written to it before it let go. */
static inline int
gort_alone(PyObject *o)
{
#ifdef Py_GIL_DISABLED
    return _Py_IsOwnedByCurrentThread(o) && o->ob_ref_local == 1 &&
           __atomic_load_n(&o->ob_ref_shared, __ATOMIC_ACQUIRE) == 0;
#else
    return Py_REFCNT(o) == 1;
#endif
}

/* The op of the goroutine's last yield once more, if that is done. */
static PyObject *
gort_gosched(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 0)
        return PyObject_Vectorcall(self, args, nargs, NULL);
    PyObject *gp = gort_curm ? GORT_AT(PyObject *, gort_curm, curg) : Py_None;
    if (gp != Py_None) {
        PyObject *op = GORT_AT(PyObject *, gp, waiting);
        if (gort_likely(Py_TYPE(op) == gort_pooltype && gort_alone(op))) {
            ((struct gort_awaitable *)op)->state = GORT_OPNEW;
            return Py_NewRef(op);
        }
    }
    return gort_made();
}

static PyObject *__attribute__((unused))
gort_fastgosched(PyObject *slow, gort_makefn make)
{
    static PyMethodDef def = {"gosched", (PyCFunction)(void (*)(void))gort_gosched, METH_FASTCALL,
                              NULL};
    gort_made = make;
    return gort_builtin(&def, slow, "()");
}
/* The await slots of that op: Gosched.step() without a call and a count. The first step, where
 * nothing is in the way, claims the P; the second one gives None, whoever comes. What is
 * neither is step()'s. */
static inline int
gort_goschedstep(PyObject *o)
{
    struct gort_awaitable *op = (struct gort_awaitable *)o;
    PyObject *mp = gort_curm;
    if (op->state == GORT_OPYIELDED) {
        op->state = GORT_OPDONE;
        return GORT_RETURN;
    }
    if (!mp || op->state != GORT_OPNEW || GORT_AT(PyObject *, mp, curg) == Py_None ||
        GORT_AT(PyObject *, mp, p) == Py_None ||
        gort_load(GORT_AT(gort_atomic8, GORT_AT(PyObject *, mp, curg), cancelreq)) ||
        gort_kept_used() ||
        !gort_cas(GORT_AT(gort_atomic, GORT_AT(PyObject *, mp, p), status),
                  GORT_AT(int64_t, mp, userword), GORT_AT(int64_t, mp, runword)))
        return GORT_RAISE;
    GORT_AT(int32_t, mp, action) = gort_at.ayield;
    op->state = GORT_OPYIELDED;
    return GORT_YIELD;
}

static PyObject *__attribute__((unused))
gort_goschednext(PyObject *op)
{
    int code = gort_goschedstep(op);
    if (gort_likely(code == GORT_RETURN))
        return NULL;
    if (gort_likely(code == GORT_YIELD))
        Py_RETURN_NONE;
    return gort_iternext(op);
}

static PySendResult __attribute__((unused))
gort_goschedsend(PyObject *op, PyObject *arg, PyObject **result)
{
    int code = gort_goschedstep(op);
    if (code == GORT_RAISE)
        return gort_am_send(op, arg, result);
    *result = Py_NewRef(Py_None);
    return code == GORT_YIELD ? PYGEN_NEXT : PYGEN_RETURN;
}

static void __attribute__((unused))
gort_goschedslots_(PyObject *cls, struct gort_at at)
{
    static PyAsyncMethods slots; /* a type that has none of its own shares its base's */
    PyTypeObject *t = (PyTypeObject *)cls;
    gort_at = at;
    slots = *t->tp_as_async;
    slots.am_send = gort_goschedsend;
    t->tp_as_async = &slots;
    t->tp_iternext = gort_goschednext;
}
/* mp, gp and pp give their types. */
#define gort_goschedslots(cls, mp, gp, pp, ayield) \
    gort_goschedslots_((cls), (struct gort_at){ \
        offsetof(__typeof__(*(mp)), curg), offsetof(__typeof__(*(mp)), p), \
        offsetof(__typeof__(*(mp)), userword), offsetof(__typeof__(*(mp)), runword), \
        offsetof(__typeof__(*(mp)), action), offsetof(__typeof__(*(gp)), waiting), \
        offsetof(__typeof__(*(gp)), cancelreq), offsetof(__typeof__(*(pp)), status), (ayield)})

#endif
