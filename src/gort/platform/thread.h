/* Threads that start themselves. */
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
 * or 0. */
static int
gort_startosthread(PyObject *call, size_t stacksize)
{
    pthread_t id;
    pthread_attr_t attr;
    int err = pthread_attr_init(&attr);
    if (err)
        return err;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stacksize)
        pthread_attr_setstacksize(&attr, stacksize);
    Py_INCREF(call);
    err = pthread_create(&id, &attr, gort_osthread, call);
    if (err)
        Py_DECREF(call);
    pthread_attr_destroy(&attr);
    return err;
}

#endif
