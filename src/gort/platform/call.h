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

/* ---- (): METH_FASTCALL, whose calls the interpreter specialises, as it does not
 * those of METH_NOARGS ------------------------------------------------------------ */
typedef PyObject *(*gort_makefn)(void);
static gort_makefn gort_made;

static PyObject *
gort_noargs(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return gort_likely(nargs == 0) ? gort_made() : PyObject_Vectorcall(self, args, nargs, NULL);
}

static PyObject *__attribute__((unused))
gort_fastmake(PyObject *slow, const char *name, gort_makefn make)
{
    static PyMethodDef def = {NULL, (PyCFunction)(void (*)(void))gort_noargs, METH_FASTCALL, NULL};
    def.ml_name = name;
    gort_made = make;
    return gort_builtin(&def, slow, "()");
}

/* ---- the op that a goroutine awaited last ---------------------------------------- */
/* o, if it is one of the module's pooled type and nobody but the field it lies in holds it;
 * or None. Only its own M looks, and makes it anew: so it is its maker's thread's. */
static inline PyObject *
gort_reusable(PyObject *o)
{
    if (Py_TYPE(o) != gort_pooltype)
        return Py_NewRef(Py_None);
#ifdef Py_GIL_DISABLED
    if (!_Py_IsOwnedByCurrentThread(o) || o->ob_ref_local != 1 || o->ob_ref_shared != 0)
        return Py_NewRef(Py_None);
#else
    if (Py_REFCNT(o) != 1)
        return Py_NewRef(Py_None);
#endif
    return Py_NewRef(o);
}
#define gort_lastyield(mp) gort_reusable((PyObject *)(mp)->curg->waiting)

#endif
