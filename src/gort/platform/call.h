/* A function (fn, /, *args, **kwargs) that is called without a dict where there are no
 * keywords. */
#ifndef GORT_CALL_H
#define GORT_CALL_H

#include "native.h"

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

static PyObject *
gort_fastcall(PyObject *slow, const char *name, gort_callfn call)
{
    static PyMethodDef def = {NULL, (PyCFunction)(void (*)(void))gort_positional,
                              METH_FASTCALL | METH_KEYWORDS, NULL};
    def.ml_name = name;
    gort_called = call;
    return gort_builtin(&def, slow, "(fn, /, *args, **kwargs)");
}

#endif
