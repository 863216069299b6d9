#include "host/pool-queue.h"

struct _DlkPoolLane {
    char *name;
    guint jobs; /* all that belong to it, those too that wait for their disk */
    guint running, limit;
    GQueue waiting; /* of DlkPoolJob */
    GList ready;    /* link in the queue's list of lanes that can start a job */
    gboolean is_ready;
};

struct _DlkPoolDisk {
    char *id;
    DlkPoolJob *turn; /* whose turn it is: in its lane's queue, or running */
    GQueue waiting;   /* of DlkPoolJob, behind it */
};

struct _DlkPoolQueue {
    GHashTable *lanes; /* name → DlkPoolLane, while it has jobs */
    GHashTable *disks; /* id → DlkPoolDisk, likewise */
    GQueue ready;      /* of DlkPoolLane, in the order of their turns */
};

static void
lane_free(gpointer data)
{
    DlkPoolLane *lane = data;
    g_free(lane->name);
    g_free(lane);
}

static void
disk_free(gpointer data)
{
    DlkPoolDisk *disk = data;
    g_free(disk->id);
    g_free(disk);
}

DlkPoolQueue *
dlk_pool_queue_new(void)
{
    DlkPoolQueue *self = g_new0(DlkPoolQueue, 1);
    self->lanes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lane_free);
    self->disks = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, disk_free);
    return self;
}

void
dlk_pool_queue_free(DlkPoolQueue *self)
{
    g_hash_table_unref(self->lanes);
    g_hash_table_unref(self->disks);
    g_free(self);
}

static DlkPoolLane *
lane_named(DlkPoolQueue *self, const char *name, guint limit)
{
    DlkPoolLane *lane = g_hash_table_lookup(self->lanes, name);
    if (lane != NULL)
        return lane;
    lane = g_new0(DlkPoolLane, 1);
    lane->name = g_strdup(name);
    lane->limit = limit;
    lane->ready.data = lane;
    g_hash_table_insert(self->lanes, lane->name, lane);
    return lane;
}

/* After every change: is @lane among those that can start a job? */
static void
lane_changed(DlkPoolQueue *self, DlkPoolLane *lane)
{
    gboolean is_ready = lane->waiting.length > 0 && lane->running < lane->limit;
    if (is_ready && !lane->is_ready)
        g_queue_push_tail_link(&self->ready, &lane->ready);
    if (!is_ready && lane->is_ready)
        g_queue_unlink(&self->ready, &lane->ready);
    lane->is_ready = is_ready;
}

static void
lane_join(DlkPoolLane *lane, DlkPoolJob *job)
{
    job->lane = lane;
    lane->jobs++;
}

static void
lane_leave(DlkPoolQueue *self, DlkPoolLane *lane)
{
    lane_changed(self, lane);
    if (--lane->jobs == 0)
        g_hash_table_remove(self->lanes, lane->name);
}

static void
lane_push(DlkPoolQueue *self, DlkPoolJob *job)
{
    g_queue_push_tail_link(&job->lane->waiting, &job->queue);
    lane_changed(self, job->lane);
}

static DlkPoolDisk *
disk_with_id(DlkPoolQueue *self, const char *id)
{
    DlkPoolDisk *disk = g_hash_table_lookup(self->disks, id);
    if (disk != NULL)
        return disk;
    disk = g_new0(DlkPoolDisk, 1);
    disk->id = g_strdup(id);
    g_hash_table_insert(self->disks, disk->id, disk);
    return disk;
}

/* The job whose turn it was on @disk is through: the next one may queue in its lane. */
static void
disk_next(DlkPoolQueue *self, DlkPoolDisk *disk)
{
    GList *link = g_queue_pop_head_link(&disk->waiting);
    disk->turn = link != NULL ? link->data : NULL;
    if (disk->turn != NULL)
        lane_push(self, disk->turn);
    else
        g_hash_table_remove(self->disks, disk->id);
}

void
dlk_pool_queue_add(DlkPoolQueue *self, DlkPoolJob *job, const char *lane, const char *disk)
{
    job->step = DLK_POOL_QUEUED;
    lane_join(lane_named(self, lane, DLK_POOL_LANE_JOBS), job);
    job->disk = disk != NULL ? disk_with_id(self, disk) : NULL;
    if (job->disk != NULL && job->disk->turn != NULL) {
        g_queue_push_tail_link(&job->disk->waiting, &job->queue);
        return;
    }
    if (job->disk != NULL)
        job->disk->turn = job;
    lane_push(self, job);
}

gboolean
dlk_pool_queue_is_ready(const DlkPoolQueue *self)
{
    return self->ready.length > 0;
}

gboolean
dlk_pool_queue_has_disk(const DlkPoolQueue *self, const char *disk)
{
    return g_hash_table_contains(self->disks, disk);
}

DlkPoolJob *
dlk_pool_queue_take(DlkPoolQueue *self)
{
    GList *first = self->ready.head;
    if (first == NULL)
        return NULL;

    DlkPoolLane *lane = first->data;
    DlkPoolJob *job = g_queue_pop_head_link(&lane->waiting)->data;
    job->step = DLK_POOL_RUNNING;
    lane->running++;
    /* Out and in again: at the end of the line of lanes. */
    g_queue_unlink(&self->ready, &lane->ready);
    lane->is_ready = FALSE;
    lane_changed(self, lane);
    return job;
}

void
dlk_pool_queue_release(DlkPoolQueue *self, DlkPoolJob *job)
{
    DlkPoolLane *lane = g_steal_pointer(&job->lane);
    DlkPoolDisk *disk = g_steal_pointer(&job->disk);
    if (disk != NULL)
        disk_next(self, disk);
    lane->running--;
    lane_leave(self, lane);
}

void
dlk_pool_queue_expire(DlkPoolQueue *self, DlkPoolJob *job)
{
    DlkPoolLane *lane = g_steal_pointer(&job->lane);
    DlkPoolDisk *disk = g_steal_pointer(&job->disk);
    g_autofree char *beside = g_strconcat("expired ", lane->name, NULL);
    if (disk != NULL && disk->turn != job) {
        g_queue_unlink(&disk->waiting, &job->queue);
    } else {
        g_queue_unlink(&lane->waiting, &job->queue);
        if (disk != NULL)
            disk_next(self, disk);
    }
    lane_leave(self, lane);
    job->expired = TRUE;
    lane_join(lane_named(self, beside, 1), job);
    lane_push(self, job);
}
