/* Lists of objects, linked through a field of theirs, that count one reference for each.
 * Twins of the names are in pure.py. */
#ifndef GORT_LINK_H
#define GORT_LINK_H

#include "native.h"

/* A head is a link too: the first and the last, NULL both in an empty list. In an owner
 * that is in no list both are NULL; the first one's prev is the head. All under the list's
 * own lock. */
typedef struct gort_link {
    struct gort_link *next, *prev;
} gort_link;

/* at: the offset of the link in its owner, a constant where it is inlined. */
#define gort_linkowner(l, at) ((PyObject *)((char *)(l) - (at)))

/* At the front. */
static inline void
gort_linkadd_(gort_link *head, gort_link *l, PyObject *owner)
{
    Py_INCREF(owner);
    l->prev = head;
    l->next = head->next;
    *(l->next ? &l->next->prev : &head->prev) = l;
    head->next = l;
}

/* At the end. */
static inline void
gort_linkput_(gort_link *head, gort_link *l, PyObject *owner)
{
    Py_INCREF(owner);
    l->next = NULL;
    l->prev = head->prev ? head->prev : head;
    l->prev->next = l;
    head->prev = l;
}

/* The caller holds a reference of its own, so that none dies under the lock. */
static inline void
gort_linkdel_(gort_link *head, gort_link *l, PyObject *owner)
{
    if (!l->prev)
        return;
    l->prev->next = l->next;
    if (l->next)
        l->next->prev = l->prev;
    else
        head->prev = l->prev == head ? NULL : l->prev;
    l->next = l->prev = NULL;
    Py_DECREF(owner);
}

static inline PyObject *
gort_linknext_(gort_link *l, size_t at)
{
    return Py_NewRef(l->next ? gort_linkowner(l->next, at) : Py_None);
}

/* The first one, with the list's reference; None from an empty list. */
static inline PyObject *
gort_linktake_(gort_link *head, size_t at)
{
    gort_link *l = head->next;
    if (!l)
        return Py_NewRef(Py_None);
    head->next = l->next;
    *(l->next ? &l->next->prev : &head->prev) = l->next ? head : NULL;
    l->next = l->prev = NULL;
    return gort_linkowner(l, at);
}
#define gort_linkadd(head, l, owner) gort_linkadd_(&(head), &(l), (PyObject *)(owner))
#define gort_linkput(head, l, owner) gort_linkput_(&(head), &(l), (PyObject *)(owner))
#define gort_linkdel(head, l, owner) gort_linkdel_(&(head), &(l), (PyObject *)(owner))
/* Of owners of that type, in whose field the links are. */
#define gort_linknextof(l, type, field) gort_linknext_(&(l), offsetof(type, field))
#define gort_linktakeof(head, type, field) gort_linktake_(&(head), offsetof(type, field))
/* Of a head: whether anything is in the list. */
#define gort_linkempty(head) ((head).next == NULL)

/* ---- queues: linked one way, through a slot; first in, first out ---------------
 * The link of the last one, and of who is in no queue, is NULL. `last` counts no reference. */
typedef struct {
    PyObject *first, *last;
} gort_queue;

#define gort_queuelink(o, at) (((gort_slot *)((char *)(o) + (at)))->v)

static inline void
gort_queueput_(gort_queue *q, PyObject *owner, size_t at)
{
    *(q->first ? &gort_queuelink(q->last, at) : &q->first) = Py_NewRef(owner);
    q->last = owner;
}

/* The first one, with the queue's reference; None from an empty queue. */
static inline PyObject *
gort_queuetake_(gort_queue *q, size_t at)
{
    PyObject *o = q->first;
    if (!o)
        return Py_NewRef(Py_None);
    q->first = gort_queuelink(o, at);
    gort_queuelink(o, at) = NULL;
    return o;
}
#define gort_queueput(q, link, owner) \
    gort_queueput_(&(q), (PyObject *)(owner), (size_t)((char *)&(link) - (char *)(owner)))
#define gort_queuetakeof(q, type, field) gort_queuetake_(&(q), offsetof(type, field))

#endif
