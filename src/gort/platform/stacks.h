/* The stacks of all threads, of one moment. */
#ifndef GORT_STACKS_H
#define GORT_STACKS_H

#include "native.h"

/* Up to 3.15: a later version may have other frames. */
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x03100000 && \
    __has_include("internal/pycore_frame.h")
#define Py_BUILD_CORE
#include "internal/pycore_frame.h"
#if PY_VERSION_HEX >= 0x030E0000
#include "internal/pycore_interpframe.h"
#include "internal/pycore_genobject.h"
#define gort_frameowner(f) ((PyObject *)_PyGen_GetGeneratorFromFrame(f))
#else
#define gort_frameowner(f) ((PyObject *)_PyFrame_GetGenerator(f))
#endif
#undef Py_BUILD_CORE

/* Without a GIL a thread goes on while another one follows its frames by f_back, which then
 * lead to memory that is something else by now. So they are read while the interpreter has
 * stopped all threads. What is public and has a function called in that state is a visit to
 * the collector's objects: it ends at the first one. */
typedef struct {
    unsigned long ident;
    PyObject *code, *globals;
    int line;
    void *gen; /* whose frame it is: an identity, not a reference */
} gort_stackframe;

typedef struct {
    gort_stackframe *at;
    Py_ssize_t n, cap;
} gort_stacks;

static int
gort_stackadd(gort_stacks *s, PyThreadState *ts, struct _PyInterpreterFrame *f)
{
    if (s->n == s->cap) {
        Py_ssize_t cap = s->cap ? 2 * s->cap : 256;
        gort_stackframe *at = PyMem_RawRealloc(s->at, (size_t)cap * sizeof *at);
        if (!at)
            return -1;
        s->at = at;
        s->cap = cap;
    }
    s->at[s->n++] = (gort_stackframe){
        ts->thread_id, PyUnstable_InterpreterFrame_GetCode(f), Py_NewRef(f->f_globals),
        PyUnstable_InterpreterFrame_GetLine(f),
        f->owner == FRAME_OWNED_BY_GENERATOR ? (void *)gort_frameowner(f) : NULL};
    return 0;
}

/* All threads stand still, and the list of them does. */
static int
gort_stackvisit(PyObject *o, void *arg)
{
    PyThreadState *ts = gort_tstate();
    while (ts->prev)
        ts = ts->prev;
    for (; ts; ts = ts->next)
        for (struct _PyInterpreterFrame *f = ts->current_frame; f; f = f->previous)
            if (!_PyFrame_IsIncomplete(f) && gort_stackadd(arg, ts, f) < 0)
                return 0;
    return 0;
}

/* [(thread, code, line, globals, identity of the coroutine or 0)], innermost first. */
static PyObject *
gort_threadstacks(void)
{
    gort_stacks s = {NULL, 0, 0};
    PyUnstable_GC_VisitObjects(gort_stackvisit, &s);
    PyObject *list = PyList_New(0);
    for (Py_ssize_t i = 0; i < s.n; i++) {
        gort_stackframe *f = &s.at[i];
        PyObject *t = Py_BuildValue("kOiON", f->ident, f->code, f->line, f->globals,
                                    PyLong_FromVoidPtr(f->gen));
        if (list && (!t || PyList_Append(list, t) < 0))
            Py_CLEAR(list);
        Py_XDECREF(t);
        Py_DECREF(f->code);
        Py_DECREF(f->globals);
    }
    PyMem_RawFree(s.at);
    return list;
}
#define GORT_FREETHREADED 1
#else
#define GORT_FREETHREADED 0
#define gort_threadstacks() Py_NewRef(Py_None)
#endif

#endif
