/* `async with` without its two bound methods. Before 3.14 the interpreter binds a type's
 * __aenter__ and __aexit__ for each block, and what a builtin's method binds to is an
 * object of the collector. Here a gort_method stands in the type's dict for the method,
 * and what it binds to is kept whole when it dies, as ops are. It knows only the call
 * that `async with` makes; everything else is the method's. */
#ifndef GORT_BOUND_H
#define GORT_BOUND_H

#include "op.h"

typedef PyObject *(*gort_withfn)(PyObject *self);

typedef struct {
    PyObject_HEAD
    PyObject *method;
    gort_withfn fn;   /* the method called with nargs arguments, which it ignores */
    Py_ssize_t nargs;
} gort_method;

/* Of an instance of the type itself, which cannot refer to it: one of a subclass may, and
 * gets a bound method, which the collector sees. Its fields are an op's, for the pool. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    gort_method *method; /* borrowed: those are never freed; NULL in the pool */
    PyObject *self;      /* in the pool the link */
} gort_bound;

_Static_assert(offsetof(gort_bound, self) == offsetof(struct gort_op, link),
               "the pool's link");

static PyObject *
gort_bind_(PyObject *method, PyObject *self)
{
    return Py_TYPE(method)->tp_descr_get(method, self, (PyObject *)Py_TYPE(self));
}

static PyObject *
gort_bound_call(PyObject *o, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    gort_bound *b = (gort_bound *)o;
    if (gort_likely(PyVectorcall_NARGS(nargsf) == b->method->nargs && !kwnames))
        return b->method->fn(b->self);
    PyObject *r = NULL, *fn = gort_bind_(b->method->method, b->self);
    if (fn) {
        r = PyObject_Vectorcall(fn, args, (size_t)PyVectorcall_NARGS(nargsf), kwnames);
        Py_DECREF(fn);
    }
    return r;
}

static PyObject *
gort_bound_getattr(PyObject *o, PyObject *name)
{
    gort_bound *b = (gort_bound *)o;
    PyObject *r = NULL, *fn = gort_bind_(b->method->method, b->self);
    if (fn) {
        r = PyObject_GetAttr(fn, name);
        Py_DECREF(fn);
    }
    return r;
}

static PyObject *
gort_bound_repr(PyObject *o)
{
    gort_bound *b = (gort_bound *)o;
    PyObject *r = NULL, *fn = gort_bind_(b->method->method, b->self);
    if (fn) {
        r = PyObject_Repr(fn);
        Py_DECREF(fn);
    }
    return r;
}

static void
gort_bound_reset(PyObject *o)
{
    ((gort_bound *)o)->method = NULL;
    Py_DECREF(((gort_bound *)o)->self);
}

static void
gort_bound_dealloc(PyObject *o)
{
    if (((gort_bound *)o)->method)
        gort_bound_reset(o);
    gort_opdealloc(o);
}

static PyTypeObject gort_boundtype = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gort.bound_method",
    .tp_basicsize = sizeof(gort_bound),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(gort_bound, call),
    .tp_call = PyVectorcall_Call,
    .tp_getattro = gort_bound_getattr,
    .tp_repr = gort_bound_repr,
    .tp_dealloc = gort_bound_dealloc,
};

static PyObject *
gort_bound_new(void)
{
    gort_bound *b = (gort_bound *)gort_opalloc(&gort_boundtype, 0);
    if (b)
        b->call = gort_bound_call;
    return (PyObject *)b;
}

static PyObject *
gort_method_get(PyObject *o, PyObject *self, PyObject *type)
{
    gort_method *m = (gort_method *)o;
    if (gort_likely(self && Py_TYPE(self) == PyDescr_TYPE(m->method))) {
        PyObject *b = gort_pool ? gort_poolget() : gort_bound_new();
        if (b) {
            ((gort_bound *)b)->method = m;
            ((gort_bound *)b)->self = Py_NewRef(self);
        }
        return b;
    }
    return Py_TYPE(m->method)->tp_descr_get(m->method, self, type);
}

static PyObject *
gort_method_getattr(PyObject *o, PyObject *name)
{
    return PyObject_GetAttr(((gort_method *)o)->method, name);
}

static PyTypeObject gort_methodtype = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gort.method",
    .tp_basicsize = sizeof(gort_method),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_getattro = gort_method_getattr,
    .tp_descr_get = gort_method_get,
};

static void
gort_bound_put(PyObject *o)
{
    gort_pool_put_(o, 0);
}

static int
gort_method_put(PyTypeObject *t, const char *name, gort_withfn fn, Py_ssize_t nargs)
{
    PyObject *method = PyDict_GetItemString(t->tp_dict, name);
    gort_method *m = PyObject_New(gort_method, &gort_methodtype); /* for good */
    if (!method || !m)
        return -1;
    m->method = Py_NewRef(method);
    m->fn = fn;
    m->nargs = nargs;
    gort_uncounted((PyObject *)m);
    return PyDict_SetItemString(t->tp_dict, name, (PyObject *)m);
}

/* enter does what type.__aenter__ does, leave what __aexit__ does without an exception
 * and with one. */
static int
gort_fastwith(PyObject *type, gort_withfn enter, gort_withfn leave)
{
#if PY_VERSION_HEX < 0x030E0000
    PyTypeObject *t = (PyTypeObject *)type;
    if (!gort_pooltype) {
        if (PyType_Ready(&gort_boundtype) < 0 || PyType_Ready(&gort_methodtype) < 0)
            return -1;
        gort_poolops_((PyObject *)&gort_boundtype, gort_bound_reset);
        gort_boundtype.tp_dealloc = gort_bound_put;
    }
    if (gort_method_put(t, "__aenter__", enter, 0) < 0 ||
        gort_method_put(t, "__aexit__", leave, 3) < 0)
        return -1;
    PyType_Modified(t);
#endif
    return 0;
}

#endif
