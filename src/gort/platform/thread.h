/* Threads that start themselves, and who else is there. */
#ifndef GORT_THREAD_H
#define GORT_THREAD_H

#include "native.h"

/* threading.Thread.start() waits until the new thread runs, and takes locks of CPython's; both
 * by sched_yield on a free-threaded build, which gives away whole slices where the CPUs are
 * busy: the monitor would be late for all Ps while one M comes up. Here who starts a thread
 * makes one system call; the new one gets its thread state by itself. */
static void *
gort_osthread(void *arg)
{
    PyObject *call = arg;
    if (!Py_IsInitialized())
        return NULL;
    PyGILState_STATE s = PyGILState_Ensure();
    PyObject *r = PyObject_CallObject(PyTuple_GET_ITEM(call, 0), PyTuple_GET_ITEM(call, 1));
    if (!r)
        PyErr_WriteUnraisable(PyTuple_GET_ITEM(call, 0));
    Py_XDECREF(r);
    r = PyObject_CallNoArgs(PyTuple_GET_ITEM(call, 2));
    Py_XDECREF(r);
    Py_DECREF(call);
    PyGILState_Release(s);
    return NULL;
}

/* call: a function, a tuple of its arguments, and a function to call in the end. An errno,
 * or 0. Who starts it joins or detaches it. */
static int
gort_startosthread(PyObject *call, size_t stacksize, pthread_t *id)
{
    pthread_attr_t attr;
    int err = pthread_attr_init(&attr);
    if (err)
        return err;
    if (stacksize)
        pthread_attr_setstacksize(&attr, stacksize);
    Py_INCREF(call);
    err = pthread_create(id, &attr, gort_osthread, call);
    if (err)
        Py_DECREF(call);
    pthread_attr_destroy(&attr);
    return err;
}

typedef struct {
    unsigned long *at;
    Py_ssize_t n, cap;
} gort_idents;

/* A new thread puts itself first without a GIL or being stopped: who walks does not see it. */
static int
gort_identvisit(PyObject *o, void *arg)
{
    gort_idents *s = arg;
    PyThreadState *ts = gort_tstate();
    while (ts->prev)
        ts = ts->prev;
    for (; ts; ts = ts->next) {
        if (s->n == s->cap) {
            Py_ssize_t cap = s->cap ? 2 * s->cap : 64;
            unsigned long *at = PyMem_RawRealloc(s->at, (size_t)cap * sizeof *at);
            if (!at)
                break;
            s->at = at;
            s->cap = cap;
        }
        s->at[s->n++] = ts->thread_id;
    }
    return 0;
}

/* The idents of all threads that have a thread state, as a set. Without a GIL they are read
 * while the interpreter has stopped all threads (stacks.h). */
static PyObject *
gort_pythreads(void)
{
    gort_idents s = {NULL, 0, 0};
#ifdef Py_GIL_DISABLED
    PyUnstable_GC_VisitObjects(gort_identvisit, &s);
#else
    gort_identvisit(NULL, &s);
#endif
    PyObject *set = PySet_New(NULL);
    for (Py_ssize_t i = 0; set && i < s.n; i++) {
        PyObject *id = PyLong_FromUnsignedLong(s.at[i]);
        if (!id || PySet_Add(set, id) < 0)
            Py_CLEAR(set);
        Py_XDECREF(id);
    }
    PyMem_RawFree(s.at);
    return set;
}

#endif
