#include "base/error.h"
#include "core/acquire.h"

/* ---- the queue: nobody in the way, or wait for one's turn ---- */

static DlkLease *
first_conflict(DlkAcquire *self, DlkItem **in_conflict)
{
    for (guint i = 0; i < self->items->len; i++) {
        *in_conflict = dlk_acquire_item(self, i);
        if ((*in_conflict)->adopted)
            continue;
        DlkLease *obstacle = dlk_table_conflict(self->engine->table, (*in_conflict)->lease);
        if (obstacle)
            return obstacle;
    }
    return NULL;
}

static gboolean
within_limits(DlkAcquire *self, gboolean wait, GError **error)
{
    const DlkLimits *limits = &self->engine->policy->limits;
    DlkTable *table = self->engine->table;
    uid_t uid = self->request->caller->uid;
    guint leases = dlk_limits_leases_for(limits, uid), waiters = dlk_limits_waiters_for(limits, uid);
    guint wanted = dlk_acquire_count_new(self);

    if (wait) {
        if ((guint64)dlk_table_waiters_of(table, uid) + wanted <= waiters)
            return TRUE;
        g_set_error(error, DLK_ERROR, DLK_ERROR_LIMIT_EXCEEDED,
                    "uid %u waits for %u disks and wants to wait for %u more; the policy allows %u "
                    "(waiters-per-uid)",
                    uid, dlk_table_waiters_of(table, uid), wanted, waiters);
        return FALSE;
    }
    if ((guint64)dlk_table_leases_of(table, uid) + wanted > leases) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_LIMIT_EXCEEDED,
                    "uid %u has %u leases and wants %u more; the policy allows %u (leases-per-uid)", uid,
                    dlk_table_leases_of(table, uid), wanted, leases);
        return FALSE;
    }
    if ((guint64)dlk_table_live_count(table) + wanted > limits->leases) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_LIMIT_EXCEEDED,
                    "there are %u leases, and %u more are wanted; the policy allows %u in all (leases)",
                    dlk_table_live_count(table), wanted, limits->leases);
        return FALSE;
    }
    return TRUE;
}

static void
reserve(DlkAcquire *self)
{
    GError *error = NULL;

    if (!within_limits(self, FALSE, &error)) {
        dlk_acquire_fail(self, error);
        return;
    }
    for (guint i = 0; i < self->items->len; i++) {
        DlkLease *lease = dlk_acquire_item(self, i)->lease;

        if (dlk_acquire_item(self, i)->adopted)
            continue;
        if (lease->phase == DLK_PHASE_NEW)
            dlk_table_insert(self->engine->table, lease, DLK_PHASE_LOCKING);
        else
            dlk_table_set_phase(self->engine->table, lease, DLK_PHASE_LOCKING);
    }
    dlk_acquire_next(self);
}

static void
on_refusal_described(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkAcquire *self = user_data;
    gboolean waited = self->request->options->wait_ms > 0;
    g_autofree char *text = dlk_refusal_describe_finish(result);

    if (waited)
        dlk_acquire_fail(self, g_error_new(DLK_ERROR, DLK_ERROR_TIMED_OUT, "waited %.1f s: %s",
                                           self->request->options->wait_ms / 1000.0, text));
    else
        dlk_acquire_fail_literal(self, DLK_ERROR_BUSY, text);
}

static void
refuse(DlkAcquire *self, DlkItem *item, DlkLease *obstacle)
{
    dlk_refusal_describe_async(self->engine, item->lease, item->lease->mode, obstacle, self->request->caller,
                               on_refusal_described, self);
}

void
dlk_acquire_stop_waiting(DlkAcquire *self)
{
    dlk_timers_cancel(self->engine->timers, &self->timer);
    if (self->gone_handler)
        g_cancellable_disconnect(self->request->caller->gone, self->gone_handler);
    self->gone_handler = 0;
}

static void
on_wait_over(gpointer user_data)
{
    DlkAcquire *self = user_data;
    DlkItem *item;

    self->timer = NULL;
    dlk_acquire_stop_waiting(self);
    DlkLease *obstacle = first_conflict(self, &item);
    if (!obstacle) {
        reserve(self);
        return;
    }
    g_autoptr(DlkLease) kept = dlk_lease_ref(obstacle);
    /* Still in the queue, it would be served while the sentence is made. */
    dlk_acquire_take_back(self);
    refuse(self, item, kept);
}

static void
on_caller_gone_later(gpointer user_data)
{
    DlkAcquire *self = user_data;

    self->timer = NULL;
    dlk_acquire_stop_waiting(self);
    dlk_acquire_fail_literal(self, DLK_ERROR_NOT_AUTHORIZED, "the caller has left the bus");
}

/* A cancellable must not be disconnected from within its own signal: the end comes in the next turn of the
 * loop. */
static void
on_caller_gone(GCancellable *gone, gpointer user_data)
{
    DlkAcquire *self = user_data;

    dlk_timers_cancel(self->engine->timers, &self->timer);
    self->timer = dlk_timers_add(self->engine->timers, 0, on_caller_gone_later, self);
}

void
dlk_acquire_start_waiting(DlkAcquire *self, gint64 until, GSourceOnceFunc on_timer)
{
    self->timer = dlk_timers_add(self->engine->timers, until, on_timer, self);
    self->gone_handler =
        g_cancellable_connect(self->request->caller->gone, G_CALLBACK(on_caller_gone), self, NULL);
}

void
dlk_acquire_queue(DlkAcquire *self)
{
    DlkItem *item;
    DlkLease *obstacle = first_conflict(self, &item);
    GError *error = NULL;

    if (!obstacle) {
        reserve(self);
        return;
    }
    if (self->request->options->wait_ms == 0) {
        refuse(self, item, obstacle);
        return;
    }
    if (!within_limits(self, TRUE, &error)) {
        dlk_acquire_fail(self, error);
        return;
    }
    for (guint i = 0; i < self->items->len; i++)
        if (!dlk_acquire_item(self, i)->adopted)
            dlk_table_insert(self->engine->table, dlk_acquire_item(self, i)->lease, DLK_PHASE_WAITING);
    dlk_acquire_start_waiting(self, self->wait_until, on_wait_over);
}

void
dlk_acquire_try_again(gpointer acquire)
{
    DlkAcquire *self = acquire;
    DlkItem *item;

    if (first_conflict(self, &item))
        return;
    dlk_acquire_stop_waiting(self);
    if (dlk_caller_is_gone(self->request->caller))
        dlk_acquire_fail_literal(self, DLK_ERROR_NOT_AUTHORIZED, "the caller has left the bus");
    else
        reserve(self);
}

void
dlk_acquire_wake(DlkEngine *engine, DlkDisk *disk)
{
    g_autoptr(GPtrArray) waiters = dlk_table_waiters(engine->table, disk);

    for (guint i = 0; i < waiters->len; i++) {
        DlkLease *lease = g_ptr_array_index(waiters, i);

        /* Serving one may have taken others out of the queue. */
        if (lease->phase == DLK_PHASE_WAITING)
            dlk_acquire_try_again(lease->group);
    }
}
