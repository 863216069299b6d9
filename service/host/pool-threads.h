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
    GMainContext *context;
    GSource *source; /* ready while `woken` */
    /* Main thread only. */
    DlkTimers *timers;
    DlkTimer *retry;
    GQueue pending; /* of DlkPoolJob: not answered yet */
    GQueue drops;   /* of DlkPoolDrop: not queued yet */
    DlkTimer *drop_timer;
    /* Under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* only while the pool is being closed: a thread has done something */
    DlkPoolQueue *queue;
    GQueue done;        /* of DlkPoolJob: to be answered */
    gint woken;         /* the main loop will answer them; read without the mutex */
    GQueue idle;        /* of Worker, the one that was busy last first: its caches are warm */
    guint threads;      /* all that live */
    guint running;      /* jobs in time */
    guint stuck;        /* jobs past their deadline */
    guint sweeping;     /* freeing what expired jobs left */
    gboolean no_thread; /* the kernel refused one */
    gboolean closing;
};

/**
 * DlkPoolWoken: threads that were given a job, to be woken when the mutex has been given up: one that wakes
 * with the mutex taken goes to sleep again at once.
 */
typedef struct {
    struct _DlkPoolWorker *workers[DLK_POOL_THREADS];
    guint n;
} DlkPoolWoken;

/** Gives the jobs that may run to threads that have nothing to do, or to new ones. Mutex held. */
void dlk_pool_start_jobs(DlkPool *self, DlkPoolWoken *woken);
/** Mutex not held. */
void dlk_pool_wake(DlkPoolWoken *woken);
/** dlk_pool_run_async() without a start. Main thread. */
void dlk_pool_submit(DlkPool *self, const DlkJob *job, gpointer input, const char *lane, const char *disk,
                     gint64 deadline, GAsyncReadyCallback callback, gpointer user_data);
/** Starts the jobs that may run; tries again later where the kernel gives no thread. Main thread. */
void dlk_pool_start_jobs_from_main(DlkPool *self);
/** Queues what is to be dropped; whichever thread is done next does it. Main thread. */
void dlk_pool_queue_drops(DlkPool *self);
/** The end of the pool: lets every thread go that is not stuck. */
void dlk_pool_end_threads(DlkPool *self);
void dlk_pool_unref(DlkPool *self);
