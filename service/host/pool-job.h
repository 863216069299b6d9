#pragma once

#include "base/timers.h"
#include "host/pool.h"

/*
 * One job on its way through the pool, which is its GAsyncResult too. For pool.c and pool-queue.c alone.
 *
 * Two sides hold a reference: the answer's (until the callback has run) and the work's (until the worker is
 * done with it). What the comments below say guards each member.
 */

typedef struct _DlkPoolLane DlkPoolLane;
typedef struct _DlkPoolDisk DlkPoolDisk;

typedef enum {
    DLK_POOL_QUEUED,
    DLK_POOL_RUNNING,
    DLK_POOL_DONE,
} DlkPoolStep;

#define DLK_TYPE_POOL_JOB dlk_pool_job_get_type()
G_DECLARE_FINAL_TYPE(DlkPoolJob, dlk_pool_job, DLK, POOL_JOB, GObject)

struct _DlkPoolJob {
    GObject parent_instance;
    /* Set once, before anybody else sees it. */
    DlkJob job;
    gpointer input;
    gint64 asked_at, deadline;
    DlkPool *pool;
    /* The main thread's. */
    GAsyncReadyCallback callback;
    gpointer user_data;
    DlkTimer *timer;
    GList pending; /* link in the list of all that are not answered yet */
    /* Under the pool's mutex. */
    guint step;       /* DlkPoolStep */
    gboolean expired; /* answered before it began: only its input is left to free */
    gboolean late;    /* answered while it ran: what it brings back is freed */
    gboolean patient; /* has no deadline, and its thread counts as stuck */
    DlkPoolLane *lane;
    DlkPoolDisk *disk; /* or %NULL */
    GList queue;       /* link in the lane's queue, the disk's or the list of finished jobs */
    /* The worker's until the job is DONE, then the main thread's. */
    gpointer result;
    GError *error;
};

DlkPoolJob *dlk_pool_job_new(const DlkJob *job, gpointer input, GAsyncReadyCallback callback,
                             gpointer user_data);
