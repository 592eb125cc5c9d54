/* Functions of Python code with a C entry that takes its arguments as they lie. */
#ifndef GORT_CALL_H
#define GORT_CALL_H

#include "op.h"

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

/* The op of the goroutine's last yield once more, if that is done. It lies in `waiting` from
 * its first step on, so that one which gets none is dropped at once. */
static PyObject *
gort_gosched(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 0)
        return PyObject_Vectorcall(self, args, nargs, NULL);
    struct gort_m *mp = (struct gort_m *)gort_curm;
    if (mp && (PyObject *)mp->curg != Py_None) {
        PyObject *op = mp->curg->waiting;
        if (gort_likely(Py_TYPE(op) == gort_pooltype && gort_alone(op) &&
                        ((struct gort_op *)op)->state == GORT_OPDONE)) {
            ((struct gort_op *)op)->state = GORT_OPNEW;
            mp->curg->waiting = Py_NewRef(Py_None);
            return op;
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

/* The await slots of that op: Gosched.step(), as gort_opstep() is Op's. The first step claims
 * the P; the second one gives None, whoever comes. */
static inline int
gort_goschedstep(struct gort_op *op)
{
    struct gort_m *mp = (struct gort_m *)gort_curm;
    if (op->state == GORT_OPYIELDED) {
        op->state = GORT_OPDONE;
        return GORT_RETURN;
    }
    if (!mp || op->state != GORT_OPAWAITED || (PyObject *)mp->curg == Py_None ||
        gort_load(mp->curg->cancelreq) != 0 || (PyObject *)mp->p == Py_None ||
        gort_kept_used() || !gort_cas(mp->p->status, mp->userword, mp->runword))
        return GORT_RAISE;
    mp->action = GORT_AYIELD;
    op->state = GORT_OPYIELDED;
    if (mp->curg->waiting == Py_None)
        mp->curg->waiting = Py_NewRef(op);
    return GORT_YIELD;
}

static PyObject *__attribute__((unused))
gort_goschednext(PyObject *op)
{
    int code = gort_goschedstep((struct gort_op *)op);
    if (gort_likely(code == GORT_RETURN))
        return NULL;
    if (gort_likely(code == GORT_YIELD))
        Py_RETURN_NONE;
    return gort_iternext(op);
}

static PySendResult __attribute__((unused))
gort_goschedsend(PyObject *op, PyObject *arg, PyObject **result)
{
    int code = gort_goschedstep((struct gort_op *)op);
    if (code == GORT_RAISE)
        return gort_am_send(op, arg, result);
    *result = Py_NewRef(Py_None);
    return code == GORT_YIELD ? PYGEN_NEXT : PYGEN_RETURN;
}

/* After install_slots. */
static void __attribute__((unused))
gort_goschedslots(PyObject *cls)
{
    PyTypeObject *t = (PyTypeObject *)cls;
    t->tp_iternext = gort_goschednext;
    t->tp_as_async->am_send = gort_goschedsend;
}

#endif
