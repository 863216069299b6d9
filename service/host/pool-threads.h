#pragma once

#include "host/pool-job.h"
#include "host/pool-queue.h"

#include <pthread.h>

/* The pool's threads, and what they share with the main thread. For pool.c and pool-threads.c alone. */

/*
 * One mutex guards everything that workers see. It and the conditions are pthread's, not GLib's, because the
 * threads are too (a blocked signal mask, a failure to start that is no abort), and because thread checkers
 * understand them.
 */
struct _DlkPool {
    gint references; /* the owner's, and one of each thread: a stuck one may outlive the owner */
    GSource *source; /* woken when the first job that somebody waits for is put on `done` */
    /* Main thread only. */
    DlkTimers *timers;
    DlkTimer *retry;
    GQueue pending; /* of DlkPoolJob: not answered yet */
    /* Under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* only while the pool is being closed: a thread has done something */
    DlkPoolQueue *queue;
    GQueue done;        /* of DlkPoolJob: to be answered */
    gboolean woken;     /* the main loop will answer them */
    GQueue idle;        /* of Worker, the one that was busy last first: its caches are warm */
    guint threads;      /* all that live */
    guint running;      /* jobs in time */
    guint stuck;        /* jobs past their deadline */
    guint sweeping;     /* freeing what expired jobs left */
    gboolean no_thread; /* the kernel refused one */
    gboolean closing;
};

/** Gives every job that may run to a thread that has nothing to do, or to a new one. Mutex held. */
void dlk_pool_start_jobs(DlkPool *self);
/** The end of the pool: lets every thread go that is not stuck. */
void dlk_pool_end_threads(DlkPool *self);
void dlk_pool_unref(DlkPool *self);
