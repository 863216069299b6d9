#pragma once

#include "host/pool-job.h"

/**
 * DlkPoolQueue: which job may run next. Knows lanes and disks, but no threads and no lock: the pool calls it
 * under its mutex. Lanes take turns, so that many jobs on one filesystem do not delay the single one on
 * another.
 */
typedef struct _DlkPoolQueue DlkPoolQueue;

DlkPoolQueue *dlk_pool_queue_new(void);
void dlk_pool_queue_free(DlkPoolQueue *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPoolQueue, dlk_pool_queue_free)

/** Takes the work's reference to @job. */
void dlk_pool_queue_add(DlkPoolQueue *self, DlkPoolJob *job, const char *lane, const char *disk);
/** Is there a job that may run? */
gboolean dlk_pool_queue_is_ready(const DlkPoolQueue *self);
gboolean dlk_pool_queue_has_disk(const DlkPoolQueue *self, const char *disk);
/** The next job that may run, from now on RUNNING; %NULL: none. */
DlkPoolJob *dlk_pool_queue_take(DlkPoolQueue *self);
/** @job, which was taken, has ended: its lane and its disk are free for the next. */
void dlk_pool_queue_release(DlkPoolQueue *self, DlkPoolJob *job);
/**
 * @job, still QUEUED, has been answered: only its input is left to free, which may block like anything else.
 * It moves to a lane beside its own, where one at a time is freed.
 */
void dlk_pool_queue_expire(DlkPoolQueue *self, DlkPoolJob *job);
