#include "base/error.h"
#include "base/filesystem.h"
#include "core/check-job.h"
#include "core/holding.h"
#include "core/recover.h"

/*
 * Every lease is asked after once in its rule's check-interval, evenly spread, and at once when the folder of
 * its file stirs, or the controller of its namespace of NVMe. The leases of one lane that are due at nearly
 * the same time share one job, so that a lease costs little.
 */
#define CHECKS_AT_RISK 4
#define GATHER_US (50 * G_TIME_SPAN_MILLISECOND)
#define NEIGHBOURS 16
#define GOLDEN 0x9e3779b1U /* 2^32 by the golden ratio */

typedef struct {
    gint64 deadline; /* of the answer, monotonic µs */
    DlkEngine *engine;
    GPtrArray *leases;  /* of DlkLease, as in the job */
    GArray *changes;    /* their holding's counter when they were asked */
    GTask *task;        /* of a Check() call, or NULL */
    gint64 now;         /* when the answers came, monotonic µs, */
    gint64 answered_at; /* and by the clock */
} Round;

static void submit(DlkEngine *engine, GPtrArray *leases, GTask *task);
static void schedule(DlkEngine *engine, DlkLease *lease, gint64 now);

static gboolean
wants_checks(const DlkLease *lease)
{
    return lease->phase == DLK_PHASE_HELD &&
           (lease->state == DLK_STATE_ACTIVE || lease->state == DLK_STATE_AT_RISK);
}

static void
flush_due(gpointer user_data)
{
    DlkEngine *engine = user_data;
    GHashTableIter iter;
    gpointer leases;

    engine->due_timer = NULL;
    g_hash_table_iter_init(&iter, engine->due);
    while (g_hash_table_iter_next(&iter, NULL, &leases)) {
        submit(engine, g_ptr_array_ref(leases), NULL);
        g_hash_table_iter_remove(&iter);
    }
}

static void
add_due(DlkEngine *engine, DlkLease *lease)
{
    char *lane = dlk_holding(lease)->lane;
    GPtrArray *leases = g_hash_table_lookup(engine->due, lane);

    if (leases && leases->len == DLK_CHECK_BATCH) {
        submit(engine, g_ptr_array_ref(leases), NULL);
        g_hash_table_remove(engine->due, lane);
        leases = NULL;
    }
    if (!leases) {
        leases = g_ptr_array_new_full(DLK_CHECK_BATCH, (GDestroyNotify)dlk_lease_unref);
        g_hash_table_insert(engine->due, g_ref_string_acquire(lane), leases);
    }
    g_ptr_array_add(leases, dlk_lease_ref(lease));
    dlk_holding(lease)->checking = TRUE;
    if (!engine->due_timer)
        engine->due_timer =
            dlk_timers_add(engine->timers, g_get_monotonic_time() + GATHER_US, flush_due, engine);
}

static void
on_due(gpointer user_data)
{
    DlkLease *lease = user_data;
    DlkHolding *holding = dlk_holding(lease);

    holding->check_timer = NULL;
    if (holding->provisional) {
        if (!holding->checking)
            dlk_recover_again(holding->engine, lease);
        return;
    }
    if (!wants_checks(lease)) /* suspended: its turn comes again */
        schedule(holding->engine, lease, g_get_monotonic_time());
    else if (!holding->checking)
        add_due(holding->engine, lease);
}

/* One at risk is asked after several times before it is given up, however rarely its rule asks otherwise. */
static gint64
interval_of(const DlkLease *lease)
{
    const DlkRule *rule = lease->rule;

    if (lease->state != DLK_STATE_AT_RISK)
        return rule->check_interval;
    return MIN(rule->check_interval, rule->risk_timeout / CHECKS_AT_RISK);
}

/*
 * The interval has as many places as the loop is to wake in it, at most. The leases that were taken one after
 * the other share a place, a few of them: what the service and the kernel keep of them lies side by side in
 * memory, and to come to it is most of what a check costs. The next few have theirs far away, where the gap
 * is widest (Fibonacci hashing): so the checks are spread evenly, however many leases came at once, and are
 * so again after all of them were asked after at once.
 */
static gint64
next_turn(const DlkLease *lease, gint64 now)
{
    const gint64 interval = interval_of(lease);
    const guint64 places = MAX((guint64)(interval / GATHER_US), 1);
    const guint32 spread = dlk_holding(lease)->number / NEIGHBOURS * GOLDEN;
    const gint64 place = (gint64)((spread * places) >> 32) * GATHER_US;

    return now + interval - (now + interval - place) % interval;
}

static void
ask_at(DlkEngine *engine, DlkLease *lease, gint64 due)
{
    DlkHolding *holding = dlk_holding(lease);

    dlk_timers_cancel(engine->timers, &holding->check_timer);
    holding->check_timer = dlk_timers_add(engine->timers, due, on_due, lease);
}

static void
schedule(DlkEngine *engine, DlkLease *lease, gint64 now)
{
    ask_at(engine, lease, next_turn(lease, now));
}

/*
 * What the worker found out about one lease, applied if the lease is still what it was when it was asked
 * after. That the storage does not answer is true of it in any case: it may be the change itself that hangs,
 * without an end.
 */
static void
apply(Round *round, DlkLease *lease, guint changes, const DlkChecked *checked)
{
    DlkEngine *engine = round->engine;
    DlkHolding *holding = dlk_holding(lease);

    if (!wants_checks(lease))
        return;
    if (checked->answer != DLK_CHECK_UNKNOWN && (holding->changing || holding->changes != changes))
        return;
    switch (checked->answer) {
    case DLK_CHECK_HELD:
        lease->checked_at = round->answered_at;
        dlk_break_restore(engine, lease);
        break;
    case DLK_CHECK_UNKNOWN:
        dlk_break_set_at_risk(engine, lease, checked->reason);
        break;
    case DLK_CHECK_LOST:
        dlk_break_now(engine, lease, checked->reason);
        break;
    }
}

static void
round_one_done(Round *round, guint index, const DlkChecked *checked)
{
    DlkLease *lease = g_ptr_array_index(round->leases, index);
    DlkHolding *holding = dlk_holding(lease);

    if (holding)
        holding->checking = FALSE;
    apply(round, lease, g_array_index(round->changes, guint, index), checked);
    /* It may just have been given up. */
    holding = dlk_holding(lease);
    if (!holding || lease->state == DLK_STATE_BROKEN)
        return;
    if (holding->stirred) {
        holding->stirred = FALSE;
        add_due(round->engine, lease);
    } else {
        schedule(round->engine, lease, round->now);
    }
}

static void
round_free(Round *round)
{
    g_queue_remove(&round->engine->rounds, &round->deadline);
    g_ptr_array_unref(round->leases);
    g_array_unref(round->changes);
    g_clear_object(&round->task);
    g_object_unref(round->engine);
    g_free(round);
}

static void
on_checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Round *round = user_data;
    g_autoptr(GArray) checked = dlk_check_job_finish(round->engine, result);

    round->now = g_get_monotonic_time();
    round->answered_at = g_get_real_time();
    for (guint i = 0; i < round->leases->len; i++)
        round_one_done(round, i, &g_array_index(checked, DlkChecked, i));
    if (round->task) {
        DlkLease *lease = g_ptr_array_index(round->leases, 0);

        g_task_return_int(round->task, lease->state);
    }
    round_free(round);
}

/* Since they were due some may have ended, or broken, or been suspended. */
static void
leave_out_unwanted(GPtrArray *leases)
{
    for (guint i = leases->len; i > 0; i--) {
        const DlkLease *lease = g_ptr_array_index(leases, i - 1);
        DlkHolding *holding = dlk_holding(lease);

        if (holding && holding->hold && wants_checks(lease))
            continue;
        if (holding && !wants_checks(lease))
            holding->checking = FALSE;
        g_ptr_array_remove_index(leases, i - 1);
    }
}

/* Takes @leases, all of one lane. */
static Round *
round_new(DlkEngine *engine, GPtrArray *leases, GTask *task)
{
    Round *round = g_new0(Round, 1);

    round->engine = g_object_ref(engine);
    round->leases = leases;
    round->changes = g_array_sized_new(FALSE, FALSE, sizeof(guint), leases->len);
    round->task = task ? g_object_ref(task) : NULL;
    return round;
}

/* Takes @leases, all of one lane. */
static void
submit(DlkEngine *engine, GPtrArray *leases, GTask *task)
{
    gint64 unreachable_after = 0;

    leave_out_unwanted(leases);
    if (leases->len == 0) {
        if (task)
            g_task_return_int(task, DLK_STATE_BROKEN);
        g_ptr_array_unref(leases);
        return;
    }
    Round *round = round_new(engine, leases, task);
    g_autoptr(GPtrArray) holds = g_ptr_array_new_full(leases->len, (GDestroyNotify)dlk_hold_unref);

    for (guint i = 0; i < leases->len; i++) {
        const DlkLease *lease = g_ptr_array_index(leases, i);
        DlkHolding *holding = dlk_holding(lease);

        holding->checking = TRUE;
        g_array_append_val(round->changes, holding->changes);
        g_ptr_array_add(holds, dlk_hold_ref(holding->hold));
        unreachable_after = MAX(unreachable_after, lease->rule->unreachable_after);
    }
    round->deadline = g_get_monotonic_time() + unreachable_after;
    g_queue_push_tail(&engine->rounds, &round->deadline);
    dlk_check_job_run(engine, g_steal_pointer(&holds), unreachable_after, on_checked, round);
}

/* Of what other hosts do in a folder inotify does not tell. */
static gboolean
hears_all(const DlkHolding *holding, const DlkDisk *disk)
{
    return holding->folder_watch >= 0 && dlk_filesystem_is_local(disk->filesystem);
}

void
dlk_monitor_watch(DlkEngine *engine, DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);

    if (holding->folder_watch >= 0)
        dlk_folder_watch_keep(engine->folder_watch, holding->folder_watch, holding->hold->target);
    dlk_hold_set_name_watched(holding->hold, hears_all(holding, lease->disk));
    schedule(engine, lease, g_get_monotonic_time());
}

void
dlk_monitor_try_later(DlkEngine *engine, DlkLease *lease)
{
    schedule(engine, lease, g_get_monotonic_time());
}

void
dlk_monitor_resume(DlkEngine *engine, DlkLease *lease)
{
    ask_at(engine, lease, g_get_monotonic_time());
}

void
dlk_monitor_forget(DlkEngine *engine, DlkLease *lease, DlkTarget *target)
{
    DlkHolding *holding = dlk_holding(lease);

    if (holding->folder_watch >= 0)
        dlk_folder_watch_drop(engine->folder_watch, holding->folder_watch, target);
    holding->folder_watch = -1;
    dlk_timers_cancel(engine->timers, &holding->check_timer);
}

/* Something was heard of its name, or of the folder, which may be the last that is heard: from now on each
 * check looks. */
static void
trust_no_watch(const DlkLease *lease)
{
    const DlkHolding *holding = dlk_holding(lease);

    if (holding && holding->hold)
        dlk_hold_set_name_watched(holding->hold, FALSE);
}

void
dlk_monitor_disk_stirred(const char *disk_id, gpointer user_data)
{
    DlkEngine *engine = user_data;
    const DlkDisk disk = {.id = (char *)disk_id};
    g_autoptr(GPtrArray) leases = dlk_table_overlapping(engine->table, &disk);

    for (guint i = 0; i < leases->len; i++) {
        DlkLease *lease = g_ptr_array_index(leases, i);

        trust_no_watch(lease);
        if (!wants_checks(lease))
            continue;
        if (dlk_holding(lease)->checking) {
            dlk_holding(lease)->stirred = TRUE;
            continue;
        }
        GPtrArray *one = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);
        g_ptr_array_add(one, dlk_lease_ref(lease));
        submit(engine, one, NULL);
    }
}

/* Or what may be a multipath map of one. */
static gboolean
may_be_namespace(const DlkDisk *disk)
{
    return g_strcmp0(disk->transport, "nvme") == 0 || g_strcmp0(disk->transport, "dm") == 0;
}

/*
 * The event names a controller, and by which names its namespaces go is another question with every kernel
 * (nvme_core.multipath): all are asked. One that the storage has not answered for since a restart is being
 * asked after anyway.
 */
void
dlk_monitor_namespaces_stirred(gpointer user_data)
{
    DlkEngine *engine = user_data;

    for (DlkLease *lease = dlk_table_next(engine->table, 0); lease;
         lease = dlk_table_next(engine->table, lease->token)) {
        if (!may_be_namespace(lease->disk) || !wants_checks(lease) || dlk_holding(lease)->provisional)
            continue;
        if (dlk_holding(lease)->checking)
            dlk_holding(lease)->stirred = TRUE;
        else
            add_due(engine, lease);
    }
}

void
dlk_engine_check_async(DlkEngine *self, DlkLease *lease, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);

    if (!wants_checks(lease)) {
        g_task_return_int(task, lease->state);
        return;
    }
    GPtrArray *one = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);
    g_ptr_array_add(one, dlk_lease_ref(lease));
    if (dlk_holding(lease)->hold)
        dlk_hold_look_at_name(dlk_holding(lease)->hold);
    submit(self, one, task);
}

DlkLeaseState
dlk_engine_check_finish(DlkEngine *self, GAsyncResult *result)
{
    return (DlkLeaseState)g_task_propagate_int(G_TASK(result), NULL);
}

gboolean
dlk_monitor_is_behind(DlkEngine *engine, gint64 slack)
{
    const gint64 now = g_get_monotonic_time();

    for (const GList *link = engine->rounds.head; link; link = link->next)
        if (*(const gint64 *)link->data + slack < now)
            return TRUE;
    return FALSE;
}

void
dlk_monitor_init_engine(DlkEngine *engine)
{
    engine->due = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)g_ref_string_release,
                                        (GDestroyNotify)g_ptr_array_unref);
}
