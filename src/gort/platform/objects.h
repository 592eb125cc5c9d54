/* What types of objects that users get have in common. Twins of the names are in pure.py. */
#ifndef GORT_OBJECTS_H
#define GORT_OBJECTS_H

#include "native.h"

static PyObject *
gort_nocopy(PyObject *o, PyObject *args)
{
    return PyErr_Format(PyExc_TypeError, "cannot copy or pickle '%.200s' object",
                        Py_TYPE(o)->tp_name);
}

static int
gort_noinit(PyObject *o, PyObject *args, PyObject *kwargs)
{
    PyErr_Format(PyExc_TypeError, "cannot create '%.200s' instances", Py_TYPE(o)->tp_name);
    return -1;
}

static PyObject *
gort_nocall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *names)
{
    return PyErr_Format(PyExc_TypeError, "cannot create '%.200s' instances",
                        ((PyTypeObject *)type)->tp_name);
}

static int
gort_putmethod(PyTypeObject *t, PyMethodDef *def)
{
    PyObject *method = PyDescr_NewMethod(t, def);
    int r = method ? PyDict_SetItemString(t->tp_dict, def->ml_name, method) : -1;
    Py_XDECREF(method);
    return r;
}

static int
gort_delattr(PyTypeObject *t, const char *name)
{
    return PyDict_GetItemString(t->tp_dict, name) ? PyDict_DelItemString(t->tp_dict, name) : 0;
}

/* A type that takes no arguments may have subclasses: its __new__, which alone they inherit,
 * fills an instance too. */
#define GORT_OPENTYPES 4
static struct {
    PyTypeObject *type;
    newfunc new;
    initproc init;
} gort_opentypes[GORT_OPENTYPES];

static PyObject *
gort_newwhole(PyTypeObject *sub, PyObject *args, PyObject *kwargs)
{
    for (int i = 0; i < GORT_OPENTYPES && gort_opentypes[i].type; i++) {
        if (!PyType_IsSubtype(sub, gort_opentypes[i].type))
            continue;
        PyObject *none = PyTuple_New(0);
        PyObject *o = none ? gort_opentypes[i].new(sub, none, NULL) : NULL;
        if (o && gort_opentypes[i].init(o, none, NULL) < 0)
            Py_CLEAR(o);
        Py_XDECREF(none);
        return o;
    }
    return PyErr_Format(PyExc_SystemError, "gort: '%.200s' is not sealed", sub->tp_name);
}

static int
gort_open(PyTypeObject *t)
{
    for (int i = 0; i < GORT_OPENTYPES; i++) {
        if (!gort_opentypes[i].type) {
            gort_opentypes[i].new = t->tp_new;
            gort_opentypes[i].init = t->tp_init;
            gort_opentypes[i].type = t;
            t->tp_new = gort_newwhole;
            return 0;
        }
    }
    PyErr_SetString(PyExc_SystemError, "gort: too many open types in a module");
    return -1;
}

/* Python code gets at the slots that make and fill an instance by a call of the type alone:
 * then each is made whole, and once. There are no copies. */
static int __attribute__((unused))
gort_seal_(PyTypeObject *t, int open)
{
    static PyMethodDef reduce[] = {{"__reduce_ex__", gort_nocopy, METH_VARARGS, NULL},
                                   {"__reduce__", gort_nocopy, METH_VARARGS, NULL}};
    if (gort_putmethod(t, &reduce[0]) < 0 || gort_putmethod(t, &reduce[1]) < 0 ||
        gort_delattr(t, "__new__") < 0 || gort_delattr(t, "__init__") < 0)
        return -1;
    if (!open)
        t->tp_flags &= ~Py_TPFLAGS_BASETYPE;
    else if (gort_open(t) < 0)
        return -1;
    PyType_Modified(t);
    return 0;
}

/* sig: of a call of the type, or None: it is not made by hand. */
static int __attribute__((unused))
gort_seal(PyObject *type, PyObject *sig)
{
    PyTypeObject *t = (PyTypeObject *)type;
    int open = 0;
    if (sig == Py_None) {
        if (!PyDict_GetItemString(t->tp_dict, "__init__"))
            t->tp_init = gort_noinit;
        t->tp_vectorcall = gort_nocall;
    }
    else {
        const char *name = strrchr(t->tp_name, '.');
        PyObject *doc = PyUnicode_FromFormat("%s%S\n--\n\n%s", name ? name + 1 : t->tp_name, sig,
                                             t->tp_doc ? t->tp_doc : "");
        if (!doc || !(t->tp_doc = PyUnicode_AsUTF8(doc)))
            return -1;
        /* for good: doc keeps its reference */
        open = PyUnicode_CompareWithASCIIString(sig, "()") == 0;
    }
    return gort_seal_(t, open);
}

/* The name that a type says it has, with its module's before it. */
static int __attribute__((unused))
gort_rename(PyObject *type, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (!text)
        return -1;
    Py_INCREF(name); /* for good */
    ((PyTypeObject *)type)->tp_name = text;
    PyType_Modified((PyTypeObject *)type);
    return 0;
}

#endif
