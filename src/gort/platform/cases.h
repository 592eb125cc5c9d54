/* gort.select(*ops, default=False), which is called without a tuple where there are no
 * keywords. */
#ifndef GORT_CASES_H
#define GORT_CASES_H

#include "op.h"

typedef PyObject *(*gort_newselectfn)(void);
typedef int (*gort_addcasefn)(PyObject *sel, PyObject *op, int32_t index);
static gort_newselectfn gort_newselect;
static gort_addcasefn gort_addcase;
static PyTypeObject *gort_casetype;

/* More cases than this are sorted by address, and not put in their places. */
#define GORT_MANY 16

/* Whether they are few, and each is a case or None. */
static inline int
gort_arecases(PyObject *const *args, Py_ssize_t n)
{
    if (n > GORT_MANY)
        return 0;
    while (--n >= 0)
        if (args[n] != Py_None && !PyObject_TypeCheck(args[n], gort_casetype))
            return 0;
    return 1;
}

/* self is select as Python code has it. */

static PyObject *
gort_select(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (kwnames || !gort_arecases(args, nargs))
        return PyObject_Vectorcall(self, args, (size_t)nargs, kwnames);
    PyObject *sel = gort_newselect();
    if (!sel)
        return NULL;
    for (Py_ssize_t i = 0; i < nargs; i++) {
        if (args[i] != Py_None && gort_addcase(sel, args[i], (int32_t)i) < 0) {
            for (; i < nargs; i++)
                if (args[i] != Py_None && ((struct gort_op *)args[i])->state == GORT_OPNEW)
                    ((struct gort_op *)args[i])->state = GORT_OPEXCUSED;
            Py_DECREF(sel);
            return NULL;
        }
    }
    return sel;
}

static PyObject *
gort_fastselect_(PyObject *slow, PyObject *type, gort_newselectfn make, gort_addcasefn add)
{
    static PyMethodDef def = {"select", (PyCFunction)(void (*)(void))gort_select,
                              METH_FASTCALL | METH_KEYWORDS, NULL};
    gort_casetype = (PyTypeObject *)type;
    gort_newselect = make;
    gort_addcase = add;
    return gort_builtin(&def, slow, "(*ops, default=False)");
}
#define gort_fastselect(slow, type, make, add) \
    gort_fastselect_((slow), (type), (gort_newselectfn)(make), (gort_addcasefn)(add))

#endif
