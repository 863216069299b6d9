#pragma once

#include <gio/gio.h>

/**
 * DlkPool: the threads in which everything runs that may block.
 *
 * A job belongs to a lane (a filesystem, a uid) and may belong to a disk. At most DLK_POOL_LANE_JOBS jobs of
 * a lane run at once, and one of a disk, in the order in which they came; so a filesystem that hangs holds a
 * few threads and nobody else's call waits. A thread that is stuck past its job's deadline cannot be
 * cancelled: it no longer counts against the pool's size, and what it brings back late is freed by itself.
 * All functions: main thread only.
 */
typedef struct _DlkPool DlkPool;

#define DLK_POOL_THREADS 16
#define DLK_POOL_LANE_JOBS 4
#define DLK_POOL_STUCK_THREADS 256

/** DlkJob: what a job does. All three run in the worker. */
typedef struct {
    const char *name;                                /* for messages: "lock" */
    gpointer (*run)(gpointer input, GError **error); /* %NULL is a failure only if @error is set */
    GDestroyNotify free_input;                       /* once, after run, or when the job never ran */
    GDestroyNotify free_result;                      /* of a result that came too late; may block */
} DlkJob;

DlkPool *dlk_pool_new(GMainContext *context);
/** Waits for running jobs that are not stuck; stuck threads are left to the process's end. */
void dlk_pool_free(DlkPool *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPool, dlk_pool_free)

/**
 * dlk_pool_run_async: runs @job in a worker and calls @callback in the main context, exactly once, with the
 * result or, at
 * @deadline (monotonic µs), with DLK_ERROR_UNREACHABLE.
 * @input: owned by the job from here on. @lane: not %NULL. @disk: a disk's id, or %NULL. @callback: %NULL
 * where nobody waits. A job with deadline G_MAXINT64 has none: its answer comes when it is done, however
 * late; after some seconds its thread counts as stuck all the same.
 */
void dlk_pool_run_async(DlkPool *self, const DlkJob *job, gpointer input, const char *lane, const char *disk,
                        gint64 deadline, GAsyncReadyCallback callback, gpointer user_data);
/** Frees @data with @free_data in a worker, because that may block; nobody waits. @lane: as above. */
void dlk_pool_drop(DlkPool *self, gpointer data, GDestroyNotify free_data, const char *lane);
/** The job's result, transfer full. */
gpointer dlk_pool_run_finish(DlkPool *self, GAsyncResult *result, GError **error);

/** Is a job of this disk queued or under way? */
gboolean dlk_pool_has_disk(DlkPool *self, const char *disk);
/** For tests and `status`: threads that run a job in time, and threads stuck past their deadline. */
guint dlk_pool_running(DlkPool *self);
guint dlk_pool_stuck(DlkPool *self);
/** No job can begin, because all threads that there may be are at work, or the kernel gives no more. */
gboolean dlk_pool_is_full(DlkPool *self);
