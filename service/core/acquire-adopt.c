#include "base/error.h"
#include "base/log.h"
#include "core/acquire.h"
#include "core/holding.h"
#include "core/record.h"

/*
 * A request with adopt takes on the leases that its owner has already, where they are strong enough: they
 * keep their locks and their tokens, and end from now on as the request says. So who starts a VM can take its
 * disks before there is a process to take them for, and name that later, without a moment in between in which
 * somebody else could have them.
 */

/* The weaker of two modes is the one that keeps out fewer others. */
static gboolean
is_as_strong(DlkMode held, DlkMode wanted)
{
    return held == wanted || held == DLK_MODE_EXCLUSIVE;
}

/* A process that lives keeps what is its own: two QEMUs of one name must not share a disk. */
static gboolean
is_left_by_its_process(const DlkAcquire *self, const DlkLease *held)
{
    if (!held->process || !dlk_pid_ref_is_alive(held->process))
        return TRUE;
    return self->process && dlk_pid_ref_pid(self->process) == dlk_pid_ref_pid(held->process);
}

static gboolean
may_adopt(const DlkAcquire *self, const DlkLease *wanted, const DlkLease *held)
{
    return held->phase == DLK_PHASE_HELD && held->state != DLK_STATE_BROKEN && held->uid == wanted->uid &&
           g_str_equal(held->disk->id, wanted->disk->id) && g_str_equal(held->owner, wanted->owner) &&
           g_strcmp0(held->owner_uuid, wanted->owner_uuid) == 0 && is_as_strong(held->mode, wanted->mode) &&
           held->by_descriptor == wanted->by_descriptor && held->lifetime != DLK_LIFETIME_FD &&
           is_left_by_its_process(self, held);
}

static DlkLease *
find_own(const DlkAcquire *self, const DlkLease *wanted)
{
    g_autoptr(GPtrArray) holders = dlk_table_overlapping(self->engine->table, wanted->disk);

    for (guint i = 0; i < holders->len; i++)
        if (may_adopt(self, wanted, g_ptr_array_index(holders, i)))
            return g_ptr_array_index(holders, i);
    return NULL;
}

/* What its mode will be, and whether it will be suspended, is not known: whoever started a VM on that might
 * write with a reader's lock. */
static gboolean
is_settled(const DlkLease *lease, GError **error)
{
    if (!dlk_holding(lease)->changing)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY,
                "%s: the lease that %s has is just being converted, suspended or resumed: try again",
                lease->path, lease->owner);
    return FALSE;
}

void
dlk_acquire_adopt(DlkAcquire *self)
{
    GError *error = NULL;

    for (guint i = 0; i < self->items->len && self->request->options->adopt; i++) {
        DlkItem *item = dlk_acquire_item(self, i);
        DlkLease *own = find_own(self, item->lease);

        if (!own)
            continue;
        if (!is_settled(own, &error)) {
            dlk_acquire_fail(self, error);
            return;
        }
        dlk_lease_unref(item->lease);
        item->lease = dlk_lease_ref(own);
        item->adopted = TRUE;
    }
    dlk_acquire_next(self);
}

guint
dlk_acquire_count_new(const DlkAcquire *self)
{
    guint count = 0;

    for (guint i = 0; i < self->items->len; i++)
        count += !dlk_acquire_item(self, i)->adopted;
    return count;
}

/* It was looked at before the locks of the others were taken. */
static gboolean
is_still_there(const DlkAcquire *self, const DlkItem *item, GError **error)
{
    const DlkLease *lease = item->lease;

    if (lease->phase == DLK_PHASE_HELD && lease->state != DLK_STATE_BROKEN &&
        is_left_by_its_process(self, lease) && is_as_strong(lease->mode, item->wanted->mode))
        return is_settled(lease, error);
    g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST,
                "%s: the lease that %s had ended meanwhile, or was converted: ask again", lease->path,
                lease->owner);
    return FALSE;
}

/* In what is the leases' own already; it cannot fail. */
static void
apply(const DlkAcquire *self, DlkLease *lease)
{
    const DlkOptions *options = self->request->options;

    if (options->on_break_given)
        lease->on_break = options->on_break;
    if (options->why) {
        g_clear_pointer(&lease->why, g_ref_string_release);
        lease->why = g_ref_string_new(options->why);
    }
    lease->adopted = TRUE;
    g_signal_emit_by_name(self->engine, "changed", lease);
}

static gboolean
hand_over(DlkAcquire *self, DlkLease *const *leases, guint n, GError **error)
{
    const DlkOptions *options = self->request->options;
    DlkCaller *caller = self->request->caller;
    const DlkHandOver to = {self->process, options->lifetime,
                            options->lifetime == DLK_LIFETIME_CONNECTION ? caller->name : NULL,
                            options->on_break_given ? &options->on_break : NULL, options->why};

    /* First: or a restart would end them with the process that they were for. */
    if (!dlk_record_hand_over(self->engine, leases, n, &to, error))
        return FALSE;
    for (guint i = 0; i < n; i++) {
        if (dlk_holding_hand_over(self->engine, leases[i], self->process, options->lifetime, caller, error))
            continue;
        /* The process cannot be watched, which shows at the first: none is for it yet. */
        g_assert(i == 0);
        for (guint j = 0; j < n; j++)
            dlk_record_change(self->engine, leases[j]);
        return FALSE;
    }
    for (guint i = 0; i < n; i++)
        apply(self, leases[i]);
    return TRUE;
}

gboolean
dlk_acquire_hand_over(DlkAcquire *self, GError **error)
{
    g_autofree DlkLease **leases = g_new(DlkLease *, self->items->len);
    guint n = 0;

    for (guint i = 0; i < self->items->len; i++) {
        const DlkItem *item = dlk_acquire_item(self, i);

        if (!item->adopted)
            continue;
        if (!is_still_there(self, item, error))
            return FALSE;
        leases[n++] = item->lease;
    }
    return n == 0 || hand_over(self, leases, n, error);
}
