#include "host/pool-threads.h"

/*
 * What is to be freed in a worker waits for one that is at work anyway: to wake a thread for it is a good
 * part of what a call costs.
 */

/* So long at most. */
#define LATEST_US 1000

typedef struct {
    gpointer data;
    GDestroyNotify free_data;
    char *lane;
} DlkPoolDrop;

static void
drop_free(gpointer data)
{
    DlkPoolDrop *drop = data;

    if (drop->data != NULL)
        drop->free_data(drop->data);
    g_free(drop->lane);
    g_free(drop);
}

static gpointer
run_nothing(gpointer input, GError **error)
{
    return NULL;
}

static const DlkJob drop_job = {"let go", run_nothing, (GDestroyNotify)g_ptr_array_unref, NULL};

/* Everything that goes the lane of the first: in one job, that storage which hangs keeps one thread. */
static GPtrArray *
take_one_lane(DlkPool *self)
{
    const DlkPoolDrop *first = self->drops.head->data;
    GPtrArray *drops = g_ptr_array_new_with_free_func(drop_free);

    for (GList *link = self->drops.head, *next; link != NULL; link = next) {
        next = link->next;
        if (!g_str_equal(((DlkPoolDrop *)link->data)->lane, first->lane))
            continue;
        g_ptr_array_add(drops, link->data);
        g_queue_delete_link(&self->drops, link);
    }
    return drops;
}

/* The timer stays: it starts what no worker took because none was at work, or none that will soon be done. */
void
dlk_pool_queue_drops(DlkPool *self)
{
    while (self->drops.length > 0) {
        GPtrArray *drops = take_one_lane(self);
        const DlkPoolDrop *first = g_ptr_array_index(drops, 0);

        dlk_pool_submit(self, &drop_job, drops, first->lane, NULL, G_MAXINT64, NULL, NULL);
    }
}

static void
on_latest(gpointer data)
{
    DlkPool *self = data;

    self->drop_timer = NULL;
    dlk_pool_queue_drops(self);
    dlk_pool_start_jobs_from_main(self);
}

void
dlk_pool_drop(DlkPool *self, gpointer data, GDestroyNotify free_data, const char *lane)
{
    DlkPoolDrop *drop = g_new(DlkPoolDrop, 1);

    *drop = (DlkPoolDrop){data, free_data, g_strdup(lane)};
    g_queue_push_tail(&self->drops, drop);
    if (self->drop_timer == NULL)
        self->drop_timer = dlk_timers_add(self->timers, g_get_monotonic_time() + LATEST_US, on_latest, self);
}
