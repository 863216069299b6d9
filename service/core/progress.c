#include "core/internal.h"

/*
 * Does the service do its work? A job that does nothing goes the way that every check of a lease goes: timer,
 * pool, worker, main loop. What comes back proves all of them.
 *
 * Storage that hangs is no reason to say no, not even where it holds every thread of the pool: leases are put
 * at risk and broken in time all the same, by the main thread's timers; and a new process would hang
 * on the same storage, if the old one can be killed at all. So no answer counts against the service only
 * where the pool has threads to spare.
 */
typedef struct _DlkProgress {
    DlkTimer *timer;
    gint64 interval;
    GSourceOnceFunc alive;
    gpointer user_data;
    gboolean complained;
} DlkProgress;

static void beat(gpointer user_data);

static gpointer
do_nothing(gpointer input, GError **error)
{
    return NULL;
}

static const DlkJob beat_job = {"progress", do_nothing, NULL, NULL};

static void
judge(DlkEngine *engine, DlkProgress *self, const char *problem)
{
    const DlkLogField fields[] = {{"DISKLOCK_REASON", problem}, {0}};
    g_autofree char *text = g_strdup_printf("The service makes no progress: %s", problem ? problem : "");

    if (!problem)
        self->alive(self->user_data);
    else if (!self->complained)
        dlk_log_event(DLK_EVENT_NO_PROGRESS, fields, text);
    self->complained = problem != NULL;
}

static void
on_beat(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(DlkEngine) engine = user_data;
    DlkProgress *self = engine->progress;
    g_autoptr(GError) error = NULL;

    dlk_pool_run_finish(engine->pool, result, &error);
    if (!self) /* the service is ending */
        return;
    if (error && !dlk_pool_is_full(engine->pool))
        judge(engine, self, "its threads do not begin what they are given");
    else if (dlk_monitor_is_behind(engine, self->interval))
        judge(engine, self, "checks of leases have not come to their end");
    else
        judge(engine, self, NULL);
    self->timer = dlk_timers_add(engine->timers, g_get_monotonic_time() + self->interval, beat, engine);
}

static void
beat(gpointer user_data)
{
    DlkEngine *engine = user_data;

    engine->progress->timer = NULL;
    dlk_pool_run_async(engine->pool, &beat_job, NULL, "progress", NULL,
                       g_get_monotonic_time() + engine->progress->interval, on_beat, g_object_ref(engine));
}

void
dlk_engine_watch_progress(DlkEngine *self, gint64 interval, GSourceOnceFunc alive, gpointer user_data)
{
    self->progress = g_new0(DlkProgress, 1);
    self->progress->interval = interval;
    self->progress->alive = alive;
    self->progress->user_data = user_data;
    self->progress->timer = dlk_timers_add(self->timers, g_get_monotonic_time(), beat, self);
}

void
dlk_engine_unwatch_progress(DlkEngine *self)
{
    if (!self->progress)
        return;
    dlk_timers_cancel(self->timers, &self->progress->timer);
    g_clear_pointer(&self->progress, g_free);
}
