#include "base/error.h"
#include "core/holding.h"
#include "core/lock-job.h"
#include "core/record.h"

/*
 * The end of a lease. It leaves the bus at once, but keeps others out until a worker has really given its
 * lock up: that may take as long as the storage hangs.
 */
typedef struct {
    DlkEngine *engine;
    DlkLease *lease;
    DlkReleasedFunc answer; /* %NULL once answered, or where nobody waits */
    gpointer user_data;
    DlkTimer *timer; /* the answer's deadline */
} DlkEnding;

static gpointer
run(gpointer data, GError **error)
{
    DlkHold *hold = data;

    dlk_backend_release(hold->backend, hold, error);
    return NULL;
}

static const DlkJob release_job = {"release", run, (GDestroyNotify)dlk_hold_unref, NULL};

static void
on_unreachable(gpointer user_data)
{
    DlkEnding *ending = user_data;
    DlkReleasedFunc answer = g_steal_pointer(&ending->answer);

    ending->timer = NULL;
    answer(g_error_new(DLK_ERROR, DLK_ERROR_UNREACHABLE,
                       "%s: the storage does not answer; the lease has ended, and its lock goes as soon as "
                       "the storage answers",
                       ending->lease->path),
           ending->user_data);
}

/* The lock is gone: others may have the disk. */
static void
give_disk_free(DlkEngine *engine, DlkLease *lease)
{
    dlk_table_remove(engine->table, lease);
    dlk_acquire_wake(engine, lease->disk);
}

static void
on_released(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkEnding *ending = user_data;
    g_autoptr(GError) error = NULL;

    dlk_pool_run_finish(ending->engine->pool, result, &error);
    if (error) /* the descriptor is closed all the same, and the lock with it */
        dlk_journal_lease(DLK_EVENT_RELEASE_FAILED, ending->lease, error->message, "%s: %s",
                          ending->lease->path, error->message);
    give_disk_free(ending->engine, ending->lease);
    dlk_timers_cancel(ending->engine->timers, &ending->timer);
    if (ending->answer)
        ending->answer(NULL, ending->user_data);
    dlk_lease_unref(ending->lease);
    g_object_unref(ending->engine);
    g_free(ending);
}

static void
leave_bus(DlkEngine *engine, DlkLease *lease, const char *why)
{
    dlk_journal_lease(DLK_EVENT_RELEASED, lease, why, "%s no longer holds %s: %s", lease->owner, lease->path,
                      why);
    g_signal_emit_by_name(engine, "released", lease);
}

static void
release_in_worker(DlkEngine *engine, DlkLease *lease, DlkHold *hold, DlkReleasedFunc answer,
                  gpointer user_data)
{
    DlkEnding *ending = g_new0(DlkEnding, 1);

    ending->engine = g_object_ref(engine);
    ending->lease = dlk_lease_ref(lease);
    if (answer) {
        ending->answer = answer;
        ending->user_data = user_data;
        ending->timer = dlk_timers_add(
            engine->timers, g_get_monotonic_time() + lease->rule->unreachable_after, on_unreachable, ending);
    }
    dlk_pool_run_async(engine->pool, &release_job, hold, dlk_hold_lane(hold), lease->disk->id, G_MAXINT64,
                       on_released, ending);
}

/* TRUE: its lock is gone already. FALSE: @answer is called later. */
static gboolean
end_held(DlkEngine *engine, DlkLease *lease, const char *why, DlkReleasedFunc answer, gpointer user_data)
{
    DlkHolding *holding = dlk_holding(lease);
    DlkHold *hold = g_steal_pointer(&holding->hold);

    /* Before the lock goes: a lock without a record is given up after a restart, a record without one is not.
     */
    dlk_record_end(engine, lease);
    dlk_monitor_forget(engine, lease, hold->target);
    dlk_holding_unwatch(engine, lease);
    dlk_holding_free(lease);
    dlk_table_set_phase(engine->table, lease, DLK_PHASE_ENDING);
    leave_bus(engine, lease, why);
    /* Whatever is under way on this disk has to come first. */
    if (dlk_pool_has_disk(engine->pool, lease->disk->id) ||
        !dlk_backend_release_at_once(hold->backend, hold)) {
        release_in_worker(engine, lease, hold, answer, user_data);
        return FALSE;
    }
    dlk_lock_job_drop_hold(engine, hold);
    give_disk_free(engine, lease);
    return TRUE;
}

static void
end(DlkEngine *engine, DlkLease *lease, const char *why, DlkReleasedFunc answer, gpointer user_data)
{
    g_autoptr(DlkLease) kept G_GNUC_UNUSED = dlk_lease_ref(lease);

    if (lease->phase == DLK_PHASE_HELD && lease->state == DLK_STATE_BROKEN) {
        /* Its process may still write, and must not escape its end by a release. */
        dlk_holding(lease)->released = TRUE;
        dlk_record_change(engine, lease);
        if (dlk_holding(lease)->action_failed)
            dlk_break_give_up(engine, lease);
    } else if (lease->phase == DLK_PHASE_HELD) {
        if (!end_held(engine, lease, why, answer, user_data))
            return;
    }
    if (lease->phase == DLK_PHASE_BROKEN) {
        dlk_record_end(engine, lease);
        dlk_table_remove(engine->table, lease);
        leave_bus(engine, lease, why);
    }
    if (answer)
        answer(NULL, user_data);
}

void
dlk_engine_release_by(DlkEngine *self, DlkLease *lease, const DlkCaller *by, DlkReleasedFunc answer,
                      gpointer user_data)
{
    if (by->uid != lease->uid)
        dlk_journal_forced(DLK_EVENT_FORCED_RELEASE, lease, by, NULL);

    end(self, lease, "released", answer, user_data);
}

void
dlk_engine_release(DlkEngine *self, DlkLease *lease, const char *why)
{
    end(self, lease, why, NULL, NULL);
}
