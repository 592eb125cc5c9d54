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
static struct {
    size_t curg, waiting, state; /* of an M, a G, an op */
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
            GORT_AT(int32_t, op, state) = 0; /* new */
            return Py_NewRef(op);
        }
    }
    return gort_made();
}

static PyObject *__attribute__((unused))
gort_fastgosched_(PyObject *slow, gort_makefn make, size_t curg, size_t waiting, size_t state)
{
    static PyMethodDef def = {"gosched", (PyCFunction)(void (*)(void))gort_gosched, METH_FASTCALL,
                              NULL};
    gort_made = make;
    gort_at.curg = curg;
    gort_at.waiting = waiting;
    gort_at.state = state;
    return gort_builtin(&def, slow, "()");
}
/* mp, gp and op give their types. */
#define gort_fastgosched(slow, make, mp, gp, op) \
    gort_fastgosched_((slow), (make), offsetof(__typeof__(*(mp)), curg), \
                      offsetof(__typeof__(*(gp)), waiting), \
                      offsetof(__typeof__(*(op)), __pyx_base.state))

#endif
