/* What starting and ending a goroutine needs in C: their records, and gort.go itself.
 * Twins of the names are in pure.py. */
#ifndef GORT_SPAWN_H
#define GORT_SPAWN_H

#include "op.h"

/* ---- records: Gs ---------------------------------------------------------------
 * A record is not tracked by the collector while its goroutine lives: all live ones
 * are held by the list of all of them, so that no cycle through one is garbage. The
 * end of a goroutine tracks its record where it keeps a result that may lead back
 * to it.
 *
 * One that dies clean is kept whole for the thread's next goroutine, with one
 * reference, linked through its list of weak references, which is empty. */
#define GORT_RECORDS 1024
#ifdef Py_GIL_DISABLED
#define GORT_GCHEAD 0
#else
#define GORT_GCHEAD 16 /* the collector's header */
#endif
typedef int (*gort_recordfn)(PyObject *o);
static PyTypeObject *gort_recordtype;
static destructor gort_recorddealloc;
static gort_recordfn gort_recordfinal; /* whether its finalizer has anything to do */
static gort_recordfn gort_recordclean; /* whether nothing is left in it but what reset takes */
static gort_resetfn gort_recordreset;
static __thread PyObject *gort_records;
static __thread int gort_nrecords;
#define GORT_WEAKLIST(o) (*(PyObject **)((char *)(o) + gort_recordtype->tp_weaklistoffset))

static PyObject *__attribute__((unused))
gort_recordalloc(PyTypeObject *t, Py_ssize_t n)
{
#ifdef Py_GIL_DISABLED
    PyObject *o = PyType_GenericAlloc(t, n); /* the collector has a heap of its own */
    if (o)
        PyObject_GC_UnTrack(o);
    return o;
#else
    char *o = PyObject_Malloc(GORT_GCHEAD + (size_t)t->tp_basicsize);
    if (!o)
        return PyErr_NoMemory();
    memset(o, 0, GORT_GCHEAD + (size_t)t->tp_basicsize);
    return PyObject_Init((PyObject *)(o + GORT_GCHEAD), t);
#endif
}

static void __attribute__((unused))
gort_recordfree(void *o)
{
#ifdef Py_GIL_DISABLED
    PyObject_GC_Del(o);
#else
    PyObject_Free((char *)o - GORT_GCHEAD);
#endif
}

static void __attribute__((unused))
gort_record_dealloc(PyObject *o)
{
    if (gort_recordfinal(o) && PyObject_CallFinalizerFromDealloc(o) < 0)
        return;
    PyObject_GC_UnTrack(o);
    if (gort_nrecords < GORT_RECORDS && gort_curm && !GORT_WEAKLIST(o) &&
        gort_recordclean(o)) {
        gort_renew(o);
        /* That it was finalized is its past life's: the next one has a finalizer too. */
#ifdef Py_GIL_DISABLED
        o->ob_gc_bits = 0;
#else
        memset((char *)o - GORT_GCHEAD, 0, GORT_GCHEAD);
#endif
        gort_recordreset(o); /* may run a user's code, which finds the list without o */
        GORT_WEAKLIST(o) = gort_records;
        gort_records = o;
        gort_nrecords++;
        return;
    }
    gort_recorddealloc(o);
}

/* A new record, or None: make one then. */
static inline PyObject *
gort_recordget(void)
{
    PyObject *o = gort_records;
    if (!o)
        return Py_NewRef(Py_None);
    gort_records = GORT_WEAKLIST(o);
    GORT_WEAKLIST(o) = NULL;
    gort_nrecords--;
    return o;
}

/* The thread's M changes; with drop the thread leaves the runtime for good. */
static void __attribute__((unused))
gort_recordbind(PyObject *mp, PyObject **kept, int drop)
{
    gort_curm = mp;
    gort_keptp = kept;
    while (drop && gort_records) {
        PyObject *o = gort_recordget();
        Py_SET_REFCNT(o, 0);
        gort_recorddealloc(o);
    }
}

static void __attribute__((unused))
gort_installrecords(PyObject *type, gort_recordfn final, gort_recordfn clean, gort_resetfn reset)
{
    PyTypeObject *t = (PyTypeObject *)type;
    gort_recordtype = t;
    gort_recordfinal = final;
    gort_recordclean = clean;
    gort_recordreset = reset;
    gort_recorddealloc = t->tp_dealloc;
    t->tp_dealloc = gort_record_dealloc;
    t->tp_alloc = gort_recordalloc;
    t->tp_free = gort_recordfree;
    PyType_Modified(t);
}

/* o begins to refer to value: have the collector see o, if value may lead to it. */
static inline void
gort_gctrack_(PyObject *o, PyObject *value)
{
    if (value != Py_None && PyObject_IS_GC(value) && !PyObject_GC_IsTracked(o))
        PyObject_GC_Track(o);
}
#define gort_gctrack(o, value) gort_gctrack_((PyObject *)(o), (PyObject *)(value))

/* ---- the traceback of what a goroutine raised, or None ---------------------------- */
static inline PyObject *
gort_tracebackof(PyObject *exc)
{
    PyObject *tb = PyException_GetTraceback(exc);
    return tb ? tb : Py_NewRef(Py_None);
}

static inline void
gort_settraceback(PyObject *exc, PyObject *tb)
{
    PyException_SetTraceback(exc, tb);
}

/* The qualified name of what a goroutine runs: its coroutine, (fn, args, kwargs) of a plain one,
 * or, once it has ended, the name itself. None where it has none. May run a user's code. */
static PyObject *__attribute__((unused))
gort_nameof(PyObject *what)
{
    if (PyUnicode_Check(what))
        return Py_NewRef(what);
#if PY_VERSION_HEX < 0x030E0000
    if (gort_likely(PyCoro_CheckExact(what)))
        return Py_NewRef(((PyCoroObject *)what)->cr_qualname);
#endif
    if (PyTuple_Check(what))
        what = PyTuple_GET_ITEM(what, 0);
    if (PyMethod_Check(what))
        what = PyMethod_GET_FUNCTION(what);
    if (PyFunction_Check(what))
        return Py_NewRef(((PyFunctionObject *)what)->func_qualname);
    PyObject *name = PyObject_GetAttrString(what, "__qualname__");
    if (name && PyUnicode_Check(name))
        return name;
    PyErr_Clear();
    Py_XDECREF(name);
    return Py_NewRef(Py_None);
}

/* ---- await of a G --------------------------------------------------------------- */
static inline void
gort_awaitby(PyObject *type, unaryfunc fn)
{
    PyTypeObject *t = (PyTypeObject *)type;
    t->tp_as_async->am_await = fn;
    PyType_Modified(t);
}

/* ---- gort.go -------------------------------------------------------------------
 * Whether calling fn makes a coroutine, or an async generator, and does nothing else. */
static inline int
gort_fnhas(PyObject *fn, int flag)
{
    if (PyMethod_Check(fn))
        fn = PyMethod_GET_FUNCTION(fn);
    return PyFunction_Check(fn) && ((PyCodeObject *)PyFunction_GET_CODE(fn))->co_flags & flag;
}
#define gort_iscorofn(fn) gort_fnhas((fn), CO_COROUTINE)
#define gort_isagenfn(fn) gort_fnhas((fn), CO_ASYNC_GENERATOR)

typedef int (*gort_checkfn)(void);
typedef PyObject *(*gort_spawnfn)(PyObject *coro);
static gort_checkfn gort_gocheck;
static gort_spawnfn gort_gospawn;

/* self is go(fn, /, *args, **kwargs) as Python code has it. */
static PyObject *
gort_go(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (gort_likely(nargs > 0 && gort_iscorofn(args[0]))) {
        if (gort_gocheck() < 0)
            return NULL;
        PyObject *coro = PyObject_Vectorcall(args[0], args + 1, (size_t)nargs - 1, kwnames);
        if (!coro)
            return NULL;
        PyObject *gp = gort_gospawn(coro);
        Py_DECREF(coro);
        return gp;
    }
    return PyObject_Vectorcall(self, args, (size_t)nargs, kwnames);
}

/* slow, which takes a tuple and a dict, as a function that needs neither where fn is a
 * coroutine function. */
static PyObject *__attribute__((unused))
gort_fastgo(PyObject *slow, const char *sig, gort_checkfn check, gort_spawnfn spawn)
{
    static PyMethodDef def = {"go", (PyCFunction)(void (*)(void))gort_go,
                              METH_FASTCALL | METH_KEYWORDS, NULL};
    gort_gocheck = check;
    gort_gospawn = spawn;
    return gort_builtin(&def, slow, sig);
}

#endif
