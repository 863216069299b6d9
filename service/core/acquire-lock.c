#include "base/error.h"
#include "base/fd.h"
#include "core/acquire.h"
#include "core/elsewhere.h"
#include "core/holding.h"
#include "core/lock-job.h"
#include "core/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BACK_OFF_MS 20
#define LAST_BACK_OFF_MS 1000

/* ---- the lock ---- */

static void
try_lock_again(gpointer user_data)
{
    DlkAcquire *self = user_data;

    self->timer = NULL;
    dlk_acquire_stop_waiting(self);
    dlk_acquire_run_step(self);
}

/*
 * Somebody outside of the table has the disk. Who waits asks again, ever less often; he keeps his place in
 * the table and nothing that he got: two hosts, each with half of what the other wants, would wait for ever.
 */
static gboolean
back_off(DlkAcquire *self)
{
    gint64 now = g_get_monotonic_time();

    if (!g_error_matches(self->error, DLK_ERROR, DLK_ERROR_BUSY) || now >= self->wait_until)
        return FALSE;

    g_clear_error(&self->error);
    for (guint i = 0; i < self->items->len; i++)
        if (dlk_acquire_item(self, i)->hold)
            dlk_lock_job_undo(self->engine, g_steal_pointer(&dlk_acquire_item(self, i)->hold));
    self->back_off_ms = self->back_off_ms ? MIN(self->back_off_ms * 2, LAST_BACK_OFF_MS) : FIRST_BACK_OFF_MS;
    gint64 pause = (gint64)g_random_int_range((int)self->back_off_ms / 2, (int)self->back_off_ms + 1) * 1000;
    dlk_acquire_start_waiting(self, MIN(now + pause, self->wait_until), try_lock_again);
    return TRUE;
}

/* self->error, which is BUSY, is final. */
static void
fail_busy(DlkAcquire *self)
{
    if (self->request->options->wait_ms > 0) {
        self->error->code = DLK_ERROR_TIMED_OUT;
        g_prefix_error(&self->error, "waited %.1f s: ", self->request->options->wait_ms / 1000.0);
    }
    dlk_acquire_fail(self, g_steal_pointer(&self->error));
}

static void
on_elsewhere_described(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkAcquire *self = user_data;
    g_autofree char *text = dlk_elsewhere_describe_finish(result);

    if (text) {
        g_clear_error(&self->error);
        self->error = g_error_new_literal(DLK_ERROR, DLK_ERROR_BUSY, text);
    }
    fail_busy(self);
}

/* Somebody outside of the table has the disk, and the wait is over: who is it? */
static void
refuse_busy(DlkAcquire *self)
{
    const DlkItem *item = self->failed;

    if (!DLK_BACKEND_GET_CLASS(item->backend)->reaches_other_hosts) {
        fail_busy(self);
        return;
    }
    const DlkRefused refused = {
        .lease = item->lease,
        .mode = item->lease->mode,
        .target = item->target,
        .backend = item->backend,
        .fallback = item->fallback,
        .busy = self->error->message,
    };
    /* Nobody is to be kept waiting while the sentence is made. */
    dlk_acquire_take_back(self);
    dlk_elsewhere_describe_async(self->engine, &refused, self->request->caller, on_elsewhere_described, self);
}

static void
lock_one_done(DlkAcquire *self, DlkItem *item, GAsyncResult *result)
{
    DlkLocked locked;
    GError *error = NULL;

    if (dlk_lock_job_finish(self->engine, result, &locked, &error)) {
        item->hold = locked.hold;
        item->folder_watch = locked.folder_watch;
    }
    dlk_refusal_name_disk(&error, item->lease);
    if (error && !self->error)
        self->failed = item;
    if (!dlk_acquire_job_done(self, error))
        return;
    if (!self->error) {
        dlk_acquire_next(self);
        return;
    }
    if (back_off(self))
        return;
    if (g_error_matches(self->error, DLK_ERROR, DLK_ERROR_BUSY))
        refuse_busy(self);
    else
        dlk_acquire_fail(self, g_steal_pointer(&self->error));
}

void
dlk_acquire_lock(DlkAcquire *self)
{
    /* A domain may have no disk, none that is there, or none that is not held: then no job would end this
     * step. */
    if (dlk_acquire_count_new(self) == 0) {
        dlk_acquire_next(self);
        return;
    }
    for (guint i = 0; i < self->items->len; i++) {
        DlkItem *item = dlk_acquire_item(self, i);

        if (item->adopted)
            continue;
        dlk_lock_job_run(self->engine, item->lease, item->target, item->backend, item->fallback,
                         dlk_acquire_on_item_done, dlk_acquire_item_call(self, item, lock_one_done));
    }
}

/* ---- the grant ---- */

static gboolean
make_keep(DlkAcquire *self, int *ours, GError **error)
{
    int ends[2];

    *ours = -1;
    if (!self->request->keep)
        return TRUE;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                   "cannot make the descriptor that keeps the lease");
    /* The caller gets the end to read from: nothing that he does with it reaches us but its closing. */
    self->keep_fd = ends[0];
    *ours = ends[1];
    return TRUE;
}

static gboolean
grant(DlkAcquire *self, DlkItem *item, GError **error)
{
    DlkLease *lease = item->lease;
    int keep;

    lease->token = dlk_tokens_next(self->engine->tokens, error);
    if (lease->token == 0 || !make_keep(self, &keep, error))
        return FALSE;

    DlkHolding *holding = dlk_holding_attach(self->engine, lease, item->hold, item->folder_watch);
    if (!dlk_holding_watch(self->engine, lease, self->request->caller, keep, error)) {
        holding->hold = NULL;
        dlk_holding_free(lease);
        return FALSE;
    }
    item->hold = NULL;
    lease->backend = dlk_backend_name(holding->hold->backend);
    lease->acquired_at = lease->checked_at = g_get_real_time();
    return TRUE;
}

static gboolean
record(DlkAcquire *self, GError **error)
{
    g_autofree DlkLease **leases = g_new(DlkLease *, self->items->len);
    guint n = 0;

    for (guint i = 0; i < self->items->len; i++)
        if (!dlk_acquire_item(self, i)->adopted)
            leases[n++] = dlk_acquire_item(self, i)->lease;
    return dlk_record_grants(self->engine, leases, n, error);
}

/* A grant that cannot be completed is taken back before anybody has heard of it. */
static void
ungrant(DlkAcquire *self, DlkItem *item)
{
    DlkHolding *holding = dlk_holding(item->lease);

    if (!holding || item->adopted)
        return;
    dlk_record_end(self->engine, item->lease);
    item->hold = g_steal_pointer(&holding->hold);
    dlk_holding_unwatch(self->engine, item->lease);
    dlk_holding_free(item->lease);
}

void
dlk_acquire_remember(DlkAcquire *self)
{
    const DlkLease *last = NULL;
    GError *error = NULL;

    for (guint i = 0; i < self->items->len && !error; i++)
        if (!dlk_acquire_item(self, i)->adopted) {
            last = dlk_acquire_item(self, i)->lease;
            grant(self, dlk_acquire_item(self, i), &error);
        }
    if (!error)
        record(self, &error);
    if (!error)
        dlk_acquire_hand_over(self, &error);
    if (error) {
        /* Of a set whose disks are all adopted the first stands for them. */
        dlk_refusal_name_disk(&error, last ? last : dlk_acquire_item(self, 0)->lease);
        for (guint i = 0; i < self->items->len; i++)
            ungrant(self, dlk_acquire_item(self, i));
        dlk_acquire_fail(self, error);
        return;
    }
    for (guint i = 0; i < self->items->len; i++) {
        DlkItem *item = dlk_acquire_item(self, i);

        if (item->adopted)
            continue;
        dlk_table_set_phase(self->engine->table, item->lease, DLK_PHASE_HELD);
        item->lease->group = NULL;
        /* Not the last reference, which is the hold's: nothing is closed here. */
        g_clear_pointer(&item->target, dlk_target_unref);
        dlk_monitor_watch(self->engine, item->lease);
    }
    dlk_acquire_next(self);
}

void
dlk_acquire_announce(DlkAcquire *self)
{
    for (guint i = 0; i < self->items->len; i++) {
        DlkLease *lease = dlk_acquire_item(self, i)->lease;

        if (dlk_acquire_item(self, i)->adopted) {
            dlk_journal_lease(DLK_EVENT_ADOPTED, lease, NULL, "%s holds %s %s for process %d from now on",
                              lease->owner, lease->path, dlk_mode_adverb(lease->mode), (int)lease->pid);
            continue;
        }
        dlk_journal_lease(DLK_EVENT_ACQUIRED, lease, NULL, "%s holds %s %s by %s", lease->owner, lease->path,
                          dlk_mode_adverb(lease->mode), lease->backend);
        g_signal_emit_by_name(self->engine, "acquired", lease);
    }
    dlk_acquire_next(self);
}
