/* A socket object's recv and send, done at once or not at all. Twins in pure.py. They are
 * the system calls alone: a socket's methods parse arguments, and let the GIL go and fight
 * for it again around a call that does not block. */
#ifndef GORT_NETFD_H
#define GORT_NETFD_H

#include "native.h"
#include <sys/socket.h>

/* More than this may take long to copy: the GIL is let go. */
#define GORT_MUCH 65536

/* The first class of sockets that was seen, for good. */
static PyTypeObject *gort_socktype;

static void __attribute__((unused))
gort_setsocktype(PyObject *type)
{
    if (!__atomic_load_n(&gort_socktype, __ATOMIC_RELAXED))
        __atomic_store_n(&gort_socktype, (PyTypeObject *)Py_NewRef(type), __ATOMIC_RELEASE);
}
#define gort_issocktype(o) (Py_TYPE(o) == __atomic_load_n(&gort_socktype, __ATOMIC_ACQUIRE))

/* A socket's number lies behind its head (gort_checksocket), -1 when it is closed. Read at each
 * system call, also without the GIL: another thread may close the socket between two. */
#define gort_socknum(sock) ((int *)((char *)(sock) + sizeof(PyObject)))
#define gort_sockfileno(sock) __atomic_load_n(gort_socknum(sock), __ATOMIC_SEQ_CST)
#define gort_socktake(sock) __atomic_exchange_n(gort_socknum(sock), -1, __ATOMIC_SEQ_CST)
#define gort_sockid(sock) ((int64_t)(intptr_t)(sock))

/* The socket of a weak reference; None when it is gone, or there is none. */
static PyObject *__attribute__((unused))
gort_refsock(PyObject *ref)
{
    PyObject *sock = Py_None;
    if (ref == Py_None)
        return Py_NewRef(sock);
#if PY_VERSION_HEX >= 0x030D0000
    if (PyWeakref_GetRef(ref, &sock) < 0)
        return NULL;
    return sock ? sock : Py_NewRef(Py_None);
#else
    return Py_NewRef(PyWeakref_GET_OBJECT(ref));
#endif
}

/* Whether it does, in instances of base, which is _socket.socket. */
static int __attribute__((unused))
gort_checksocket(PyObject *base)
{
    PyTypeObject *t = (PyTypeObject *)base;
    PyObject *none = PyTuple_New(0), *sock = NULL, *r = NULL;
    long fd = -1;
    if (none && t->tp_basicsize >= (Py_ssize_t)(sizeof(PyObject) + sizeof(int)) &&
        (sock = t->tp_new(t, none, NULL)) && gort_sockfileno(sock) == -1) {
        *gort_socknum(sock) = INT_MAX;
        r = PyObject_CallMethod(sock, "fileno", NULL);
        *gort_socknum(sock) = -1;
        fd = r ? PyLong_AsLong(r) : -1;
    }
    Py_XDECREF(r);
    Py_XDECREF(sock);
    Py_XDECREF(none);
    if (fd == INT_MAX)
        return 0;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_SystemError, "gort: no socket of this interpreter is known");
    return -1;
}

/* What little comes is copied out of a buffer that the thread keeps: to allocate one as
 * long as asked for, and give most of it back, has malloc tidy up each time. */
#define GORT_LITTLE 4096
static __thread PyObject *gort_recvbuf;
/* Whether to keep one of n bytes: a thread keeps no long one for good. */
#define gort_tokeep(n) (!gort_recvbuf && (n) > GORT_LITTLE && (n) <= GORT_MUCH)

/* The thread's M changes; with drop the thread leaves the runtime for good. */
static void __attribute__((unused))
gort_recvbind(PyObject *mp, PyObject **kept, int drop)
{
    if (drop)
        Py_CLEAR(gort_recvbuf);
}

/* The first got bytes of data, which is given away; NULL without memory. */
static PyObject *__attribute__((unused))
gort_received(PyObject *data, ssize_t got)
{
    Py_ssize_t n = PyBytes_GET_SIZE(data);
    if (got <= GORT_LITTLE && gort_tokeep(n)) {
        PyObject *little = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), got);
        if (little) {
            gort_recvbuf = data;
            return little;
        }
        PyErr_Clear(); /* what came is not lost for that */
    }
    if (got < n)
        _PyBytes_Resize(&data, got);
    return data;
}

/* An errno, or 0 and in *value, in place of the socket, what came. */
static int __attribute__((unused))
gort_recvnow_(PyObject **value, Py_ssize_t n)
{
    PyObject *sock = *value;
    PyThreadState *ts = n > GORT_MUCH ? gort_tstate() : NULL;
    PyObject *data = gort_recvbuf;
    if (data && PyBytes_GET_SIZE(data) == n)
        gort_recvbuf = NULL;
    else if (!(data = PyBytes_FromStringAndSize(NULL, n))) {
        PyErr_Clear();
        return ENOMEM;
    }
    if (ts)
        PyEval_SaveThread();
    ssize_t got;
    do
        got = recv(gort_sockfileno(sock), PyBytes_AS_STRING(data), (size_t)n, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    int err = got < 0 ? errno : 0;
    if (ts)
        PyEval_RestoreThread(ts);
    if (err) {
        if (gort_tokeep(n))
            gort_recvbuf = data;
        else
            Py_DECREF(data);
        return err;
    }
    data = gort_received(data, got);
    if (!data) {
        PyErr_Clear();
        return ENOMEM;
    }
    *value = data;
    Py_DECREF(sock);
    return 0;
}
#define gort_recvnow(op) gort_recvnow_(&(op)->__pyx_base.__pyx_base.__pyx_base.value, (op)->n)

/* An errno, or 0 when all of data was sent; *at is how much was. */
static int __attribute__((unused))
gort_sendnow_(PyObject *sock, PyObject *data, int64_t *at)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear();
        return EINVAL;
    }
    PyThreadState *ts = view.len - *at > GORT_MUCH ? gort_tstate() : NULL;
    int err = 0;
    if (ts)
        PyEval_SaveThread();
    while (!err && *at < view.len) {
        ssize_t sent = send(gort_sockfileno(sock), (char *)view.buf + *at, (size_t)(view.len - *at),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0)
            *at += sent;
        else if (errno != EINTR)
            err = errno;
    }
    if (ts)
        PyEval_RestoreThread(ts);
    PyBuffer_Release(&view);
    return err;
}
#define gort_sendnow(op) gort_sendnow_((op)->__pyx_base.__pyx_base.__pyx_base.value, \
                                       (op)->__pyx_base.error, &(op)->n)

/* The same for a Conn, whose `got` is the socket, and then what came. */
#define gort_connrecv(c, n) gort_recvnow_(&(c)->got, (n))
#define gort_connsend(op, sock) gort_sendnow_((sock), (op)->__pyx_base.error, &(op)->n)

/* A Conn's buffer is bytes, or a bytearray that only this module sees. */
#define gort_bufstr(buf) \
    (PyBytes_Check(buf) ? PyBytes_AS_STRING(buf) : PyByteArray_AS_STRING(buf))
#define gort_bufcut(buf, start, n) \
    (PyBytes_CheckExact(buf) && (start) == 0 && (n) == PyBytes_GET_SIZE(buf) \
         ? Py_NewRef(buf) \
         : PyBytes_FromStringAndSize(gort_bufstr(buf) + (start), (n)))

/* Where sep, which is not empty, lies in buf between start and end; -1. */
static Py_ssize_t __attribute__((unused))
gort_buffind(PyObject *buf, PyObject *sep, Py_ssize_t start, Py_ssize_t end)
{
    const char *at, *s = gort_bufstr(buf);
    Py_ssize_t n = PyBytes_GET_SIZE(sep);
    if (end - start < n)
        return -1;
    if (n == 1)
        at = memchr(s + start, PyBytes_AS_STRING(sep)[0], (size_t)(end - start));
    else
        at = memmem(s + start, (size_t)(end - start), PyBytes_AS_STRING(sep), (size_t)n);
    return at ? at - s : -1;
}

#endif
