/* sysmon's nap between two looks at the Ps. */
#ifndef GORT_WATCH_H
#define GORT_WATCH_H

#include "native.h"

/* On a build with a GIL sysmon would take it at each look from a goroutine that makes short
 * system calls, as each lets it go. So the nap goes on without it while all that the look
 * would find is progress: no P that holds still, and not all of them idle. */
#define GORT_WATCHED 16
#define GORT_WATCHNS 4000000 /* what else sysmon looks after waits that long at most */
typedef struct {
    int n;
    struct {
        gort_atomic *status, *ticks[2];
        int64_t seen;
    } p[GORT_WATCHED];
} gort_watch;

static inline void
gort_watchadd_(gort_watch *w, gort_atomic *status, gort_atomic *tick0, gort_atomic *tick1)
{
    int i = w->n++;
    if (i >= GORT_WATCHED)
        return;
    w->p[i].status = status;
    w->p[i].ticks[0] = tick0;
    w->p[i].ticks[1] = tick1;
    w->p[i].seen = gort_load(*tick0) + gort_load(*tick1);
}

/* Without the GIL. The caller's references keep the Ps. */
static inline int
gort_watchprogress(gort_watch *w, int64_t mask, int64_t idle)
{
    int busy = 0;
    for (int i = 0; i < w->n; i++) {
        int64_t seen = gort_load(*w->p[i].ticks[0]) + gort_load(*w->p[i].ticks[1]);
        if ((gort_load(*w->p[i].status) & mask) == idle)
            continue;
        if (seen == w->p[i].seen)
            return 0;
        w->p[i].seen = seen;
        busy = 1;
    }
    return busy;
}

static inline void
gort_watchsleep_(gort_watch *w, int64_t us, int64_t mask, int64_t idle)
{
#ifdef Py_GIL_DISABLED
    gort_usleep(us);
#else
    struct timespec t = {us / 1000000, (us % 1000000) * 1000};
    PyThreadState *ts = PyEval_SaveThread();
    int64_t end = gort_nanotime() + GORT_WATCHNS;
    do {
        nanosleep(&t, NULL);
    } while (w->n <= GORT_WATCHED && gort_nanotime() < end && gort_watchprogress(w, mask, idle));
    PyEval_RestoreThread(ts);
#endif
}
#define gort_watchadd(w, a, b, c) gort_watchadd_(&(w), &(a), &(b), &(c))
#define gort_watchsleep(w, us, mask, idle) gort_watchsleep_(&(w), (us), (mask), (idle))

#endif
