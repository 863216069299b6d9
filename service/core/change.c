#include "base/error.h"
#include "core/change-job.h"
#include "core/elsewhere.h"
#include "core/holding.h"
#include "core/lock-job.h"
#include "core/record.h"

#include <string.h>

/*
 * Convert, Suspend and Resume: what changes the lock of a lease that goes on. One at a time for each lease.
 * While a worker converts, a second claim in the new mode stands in the table beside the lease, so that
 * neither the old nor the new mode can be taken by somebody else, whichever of them it ends with.
 */
typedef struct {
    DlkChangeKind kind;
    DlkLease *lease;
    DlkMode mode;
    DlkCaller *caller;            /* who asks for a lock, and may be refused; else %NULL */
    GError *busy;                 /* he is: what the backend said */
    DlkLease *claim;              /* convert: the second claim */
    DlkHold *hold;                /* while a worker may be at it */
    guint spares[DLK_HOLD_PARTS]; /* of the store, for descriptors that the conversion may make; 0: none */
    DlkTimer *timer;              /* of what gives up: the answer's deadline */
    gboolean answered;            /* it has passed */
} Change;

static void
change_free(gpointer data)
{
    Change *change = data;

    g_assert(change->claim == NULL && change->hold == NULL);
    dlk_lease_unref(change->lease);
    g_clear_pointer(&change->caller, dlk_caller_unref);
    g_clear_error(&change->busy);
    g_free(change);
}

/*
 * What gives something up has no deadline, only its answer has: it must be done in the end, or the lock would
 * stand for ever that nobody means to have.
 */
static gboolean
gives_up(const Change *change)
{
    if (change->kind == DLK_CHANGE_CONVERT)
        return change->lease->mode == DLK_MODE_EXCLUSIVE || change->mode == DLK_MODE_READ_ONLY;
    return change->kind == DLK_CHANGE_SUSPEND;
}

static void
apply(DlkEngine *engine, Change *change)
{
    DlkLease *lease = change->lease;

    if (change->kind == DLK_CHANGE_CONVERT) {
        const DlkMode before = lease->mode;

        lease->mode = change->mode;
        dlk_journal_lease(DLK_EVENT_CONVERTED, lease, NULL, "The lease of %s on %s was %s and is %s now",
                          lease->owner, lease->path, dlk_mode_to_string(before),
                          dlk_mode_to_string(lease->mode));
        g_signal_emit_by_name(engine, "changed", lease);
        dlk_acquire_wake(engine, lease->disk);
        return;
    }
    if (change->kind == DLK_CHANGE_SUSPEND) {
        dlk_break_set_state(engine, lease, DLK_STATE_SUSPENDED);
        dlk_journal_lease(DLK_EVENT_SUSPENDED, lease, NULL, "The lease of %s on %s is suspended",
                          lease->owner, lease->path);
    } else {
        dlk_break_set_state(engine, lease, DLK_STATE_ACTIVE);
        dlk_journal_lease(DLK_EVENT_RESUMED, lease, NULL, "%s holds %s %s again", lease->owner, lease->path,
                          dlk_mode_adverb(lease->mode));
        dlk_monitor_resume(engine, lease);
    }
}

/* Only a reader's descriptor has to be replaced, by one that can write. FALSE: one of them has no spare. */
static gboolean
reserve_spares(DlkEngine *engine, Change *change)
{
    const DlkHolding *holding = dlk_holding(change->lease);
    gboolean all = TRUE;

    for (guint i = 0; i < DLK_HOLD_PARTS && !dlk_mode_writes(change->lease->mode); i++) {
        if (holding->stored[i] == 0)
            continue;
        change->spares[i] = dlk_fd_store_reserve(engine->fd_store);
        all = all && change->spares[i] != 0;
    }
    return all;
}

/*
 * Before the lock changes it is written down what it may be after, so that a restart in between finds a lock
 * that it expects. A suspended lease is not to be found without the lock that it gave up, so that it is
 * suspended first. FALSE: it cannot be written down, and so must not be done.
 */
static gboolean
announce_to_record(DlkEngine *engine, Change *change, GError **error)
{
    DlkLease *lease = change->lease;
    DlkHolding *holding = dlk_holding(lease);

    if (change->kind == DLK_CHANGE_SUSPEND)
        return dlk_record_suspension(engine, lease, error);
    if (change->kind == DLK_CHANGE_RESUME)
        return TRUE;
    DlkStored unstored = {0};
    const gboolean is_full = !reserve_spares(engine, change);
    /* Without a name the lock is taken again at the next start; a name whose lock has moved on would be
     * adopted, found without a lock, and lose the lease. */
    if (is_full)
        unstored = dlk_record_take_stored(lease, FALSE);
    if (!dlk_record_conversion(engine, lease, change->mode, change->spares, error)) {
        if (is_full)
            memcpy(holding->stored, unstored.parts, sizeof unstored.parts);
        return FALSE;
    }
    dlk_record_unstore(engine, &unstored, TRUE);
    dlk_hold_set_spares(holding->hold, change->spares, dlk_fd_store_send);
    return TRUE;
}

/* The lock that was taken again is kept and written down; one that cannot be is given back. */
static gboolean
record_resumption(DlkEngine *engine, DlkLease *lease, GError **error)
{
    dlk_record_store(engine, lease);
    if (dlk_record_resumption(engine, lease, error))
        return TRUE;
    const DlkStored stored = dlk_record_take_stored(lease, FALSE);
    dlk_record_unstore(engine, &stored, TRUE);
    dlk_lock_job_undo(engine, dlk_hold_ref(dlk_holding(lease)->hold));
    return FALSE;
}

static void
drop_spares(DlkEngine *engine, Change *change, gboolean written)
{
    DlkStored spares = {0};

    memcpy(spares.parts, change->spares, sizeof spares.parts);
    memset(change->spares, 0, sizeof change->spares);
    dlk_record_unstore(engine, &spares, written);
}

/* What the worker has stored is the lease's; the other spares are nobody's, and he can no longer come for
 * them.
 */
static void
settle_spares(Change *change)
{
    DlkHolding *holding = dlk_holding(change->lease);

    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        if (change->spares[i] == 0 || !dlk_hold_take_spare(change->hold, i) || !holding)
            continue;
        const guint old = holding->stored[i];
        holding->stored[i] = change->spares[i];
        change->spares[i] = old;
    }
}

/* What the lease is now, whatever became of the change, is written down, if it has not ended; then the store
 * forgets what is of no use. @settled: the lease goes on, and no worker is at the lock. */
static void
tell_record(DlkEngine *engine, Change *change, gboolean settled)
{
    DlkLease *lease = change->lease;
    DlkHolding *holding = dlk_holding(lease);
    DlkStored stored = {0};

    settle_spares(change);
    if (holding)
        dlk_record_change_is_over(lease);
    /* What went without a name in the store meanwhile. */
    if (holding && settled && change->kind == DLK_CHANGE_CONVERT)
        dlk_record_store(engine, lease);
    if (holding && lease->state == DLK_STATE_SUSPENDED)
        stored = dlk_record_take_stored(lease, FALSE);
    const gboolean written = holding ? dlk_record_change(engine, lease) : !engine->record_timer;
    dlk_record_unstore(engine, &stored, written);
    drop_spares(engine, change, written);
}

static void
drop_claim(DlkEngine *engine, Change *change)
{
    if (!change->claim)
        return;
    dlk_table_remove(engine->table, change->claim);
    g_clear_pointer(&change->claim, dlk_lease_unref);
    change->lease->group = NULL;
}

/* It may have ended or broken meanwhile; its lock went then, behind this change. */
static gboolean
has_ended(const DlkLease *lease)
{
    return lease->phase != DLK_PHASE_HELD || lease->state == DLK_STATE_BROKEN;
}

static GError *
ended_meanwhile(const DlkLease *lease)
{
    return g_error_new(DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: the lease ended meanwhile", lease->path);
}

static void
on_elsewhere_described(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Change *change = g_task_get_task_data(task);
    g_autofree char *text = dlk_elsewhere_describe_finish(result);

    if (text)
        g_task_return_new_error(task, DLK_ERROR, DLK_ERROR_BUSY, "%s", text);
    else
        g_task_return_error(task, g_steal_pointer(&change->busy));
}

/* Takes @error. Where somebody outside of the table has the disk: who is it? */
static void
refuse(DlkEngine *engine, GTask *task, GError *error)
{
    Change *change = g_task_get_task_data(task);
    const DlkHold *hold = dlk_holding(change->lease)->hold;

    if (!g_error_matches(error, DLK_ERROR, DLK_ERROR_BUSY) || !change->caller ||
        !DLK_BACKEND_GET_CLASS(hold->backend)->reaches_other_hosts) {
        g_task_return_error(task, error);
        return;
    }
    const DlkRefused refused = {
        .lease = change->lease,
        .mode = change->mode,
        .target = hold->target,
        .backend = hold->backend,
        .busy = error->message,
    };
    change->busy = error;
    dlk_elsewhere_describe_async(engine, &refused, change->caller, on_elsewhere_described,
                                 g_object_ref(task));
}

/* Its last reference may be ours, and closing its descriptor may block. */
static void
drop_hold(DlkEngine *engine, Change *change)
{
    dlk_lock_job_drop_hold(engine, g_steal_pointer(&change->hold));
}

static void
on_changed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Change *change = g_task_get_task_data(task);
    DlkLease *lease = change->lease;
    g_autoptr(GError) error = NULL;

    dlk_change_job_finish(engine, result, &error);
    dlk_timers_cancel(engine->timers, &change->timer);
    drop_claim(engine, change);
    if (has_ended(lease)) {
        /* Or is being broken: while its process may write, its lock stands. */
        tell_record(engine, change, FALSE);
        drop_hold(engine, change);
        if (!change->answered)
            g_task_return_error(task, ended_meanwhile(lease));
        dlk_acquire_wake(engine, lease->disk);
        return;
    }
    dlk_holding(lease)->changing = FALSE;
    dlk_holding(lease)->changes++;
    if (!error && change->kind == DLK_CHANGE_RESUME)
        record_resumption(engine, lease, &error);
    /* What could not be given up whole counts as given up: some of it may be. */
    if (error && change->kind == DLK_CHANGE_SUSPEND)
        g_prefix_error(&error, "the lease is suspended, but its lock may stand: ");
    dlk_refusal_name_disk(&error, lease);
    if ((!error || change->kind == DLK_CHANGE_SUSPEND) && !change->answered)
        apply(engine, change);
    else
        dlk_acquire_wake(engine, lease->disk);
    tell_record(engine, change, !g_error_matches(error, DLK_ERROR, DLK_ERROR_UNREACHABLE));
    drop_hold(engine, change);
    /* A lock that turned out to be lost is no longer to be called held. */
    if (g_error_matches(error, DLK_ERROR, DLK_ERROR_LEASE_LOST))
        dlk_engine_check_async(engine, lease, NULL, NULL);
    if (change->answered)
        return;
    if (error)
        refuse(engine, task, g_steal_pointer(&error));
    else
        g_task_return_boolean(task, TRUE);
}

static void
on_overdue(gpointer user_data)
{
    GTask *task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Change *change = g_task_get_task_data(task);

    change->timer = NULL;
    change->answered = TRUE;
    if (has_ended(change->lease)) {
        g_task_return_error(task, ended_meanwhile(change->lease));
        return;
    }
    apply(engine, change);
    tell_record(engine, change, FALSE);
    g_task_return_new_error(
        task, DLK_ERROR, DLK_ERROR_UNREACHABLE,
        "%s: the storage does not answer; the change counts on this host, and is made as soon as it does",
        change->lease->path);
}

static void
submit(GTask *task)
{
    DlkEngine *engine = g_task_get_source_object(task);
    Change *change = g_task_get_task_data(task);
    DlkLease *lease = change->lease;
    DlkHolding *holding = dlk_holding(lease);
    GError *error = NULL;

    if (!announce_to_record(engine, change, &error)) {
        dlk_refusal_name_disk(&error, lease);
        drop_spares(engine, change, TRUE);
        drop_claim(engine, change);
        g_task_return_error(task, error);
        return;
    }
    holding->changing = TRUE;
    holding->changes++;
    change->hold = dlk_hold_ref(holding->hold);

    gint64 deadline = g_get_monotonic_time() + lease->rule->unreachable_after;
    if (gives_up(change)) {
        change->timer = dlk_timers_add(engine->timers, deadline, on_overdue, task);
        deadline = G_MAXINT64;
    }
    dlk_change_job_run(engine, change->kind, lease, change->mode, deadline, on_changed, g_object_ref(task));
}

/* May such a change begin? */
static gboolean
check_lease(const DlkLease *lease, DlkChangeKind kind, GError **error)
{
    if (lease->phase != DLK_PHASE_HELD || lease->state == DLK_STATE_BROKEN)
        g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST,
                    "%s: the lease is broken (%s): release it and acquire anew", lease->path,
                    lease->broken_reason ? lease->broken_reason : "");
    else if (dlk_holding(lease)->changing)
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s: another change of this lease is under way",
                    lease->path);
    else if (dlk_holding(lease)->provisional)
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
                    "%s: the storage has not answered since the service was started", lease->path);
    else if (kind == DLK_CHANGE_CONVERT && lease->state == DLK_STATE_SUSPENDED)
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED, "%s: the lease is suspended: resume it first",
                    lease->path);
    else
        return TRUE;
    return FALSE;
}

/* @caller: may be %NULL, where nothing is asked for that somebody else may have. */
static GTask *
task_for(DlkEngine *engine, DlkLease *lease, DlkChangeKind kind, DlkMode mode, DlkCaller *caller,
         GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(engine, NULL, callback, user_data);
    Change *change = g_new0(Change, 1);

    change->kind = kind;
    change->lease = dlk_lease_ref(lease);
    change->mode = mode;
    change->caller = caller ? dlk_caller_ref(caller) : NULL;
    g_task_set_task_data(task, change, change_free);
    return task;
}

static void
claim_mode(DlkEngine *engine, Change *change)
{
    DlkLease *lease = change->lease;

    change->claim = dlk_lease_new(lease->disk, lease->rule, change->mode);
    change->claim->uid = lease->uid;
    change->claim->path = g_strdup(lease->path);
    change->claim->owner = g_ref_string_acquire(lease->owner);
    change->claim->pid = lease->pid;
    change->claim->backend = lease->backend;
    change->claim->group = lease;
    lease->group = lease;
    dlk_table_insert(engine->table, change->claim, DLK_PHASE_LOCKING);
}

static void
on_refusal_described(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autofree char *text = dlk_refusal_describe_finish(result);

    g_task_return_new_error(task, DLK_ERROR, DLK_ERROR_BUSY, "%s", text);
}

void
dlk_engine_convert_async(DlkEngine *self, DlkLease *lease, DlkMode mode, DlkCaller *caller,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = task_for(self, lease, DLK_CHANGE_CONVERT, mode, caller, callback, user_data);
    GError *error = NULL;

    if (!check_lease(lease, DLK_CHANGE_CONVERT, &error)) {
        g_task_return_error(task, error);
        return;
    }
    if (lease->mode == mode) {
        g_task_return_boolean(task, TRUE);
        return;
    }
    if (!(lease->rule->modes & 1U << mode)) {
        g_task_return_new_error(task, DLK_ERROR, DLK_ERROR_POLICY_DENIED,
                                "%s: the policy's rule \"%s\" does not allow mode %s", lease->path,
                                lease->rule->name, dlk_mode_to_string(mode));
        return;
    }

    DlkLease *obstacle = dlk_table_conflict_in_mode(self->table, lease, mode);
    if (obstacle) {
        dlk_refusal_describe_async(self, lease, mode, obstacle, caller, on_refusal_described,
                                   g_steal_pointer(&task));
        return;
    }
    claim_mode(self, g_task_get_task_data(task));
    submit(task);
}

void
dlk_engine_suspend_async(DlkEngine *self, DlkLease *lease, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = task_for(self, lease, DLK_CHANGE_SUSPEND, lease->mode, NULL, callback, user_data);
    GError *error = NULL;

    if (!check_lease(lease, DLK_CHANGE_SUSPEND, &error))
        g_task_return_error(task, error);
    else if (lease->state == DLK_STATE_SUSPENDED)
        g_task_return_boolean(task, TRUE);
    else
        submit(task);
}

void
dlk_engine_resume_async(DlkEngine *self, DlkLease *lease, DlkCaller *caller, GAsyncReadyCallback callback,
                        gpointer user_data)
{
    g_autoptr(GTask) task =
        task_for(self, lease, DLK_CHANGE_RESUME, lease->mode, caller, callback, user_data);
    GError *error = NULL;

    if (!check_lease(lease, DLK_CHANGE_RESUME, &error))
        g_task_return_error(task, error);
    else if (lease->state != DLK_STATE_SUSPENDED)
        g_task_return_boolean(task, TRUE);
    else
        submit(task);
}

gboolean
dlk_engine_change_finish(DlkEngine *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
