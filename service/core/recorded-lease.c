#include "backend/backends.h"
#include "base/error.h"
#include "core/connection.h"
#include "core/holding.h"
#include "core/leftover.h"
#include "core/recover.h"

/* So long after a start a lock that somebody has may still be ours: systemd closes the descriptors of a
 * stopped service beside its main loop, later than it says so (asynchronous_close() in its
 * src/basic/async.h). */
#define LATE_CLOSE_US G_USEC_PER_SEC

/* ---- what it is ---- */

static gboolean
find_process(GHashTable *processes, const DlkLeaseRecord *record, DlkPidRef **process, GError **error)
{
    g_autoptr(GError) problem = NULL;
    gpointer found;

    *process = NULL;
    if (record->process_start == 0)
        return TRUE;
    g_autofree char *key = g_strdup_printf("%d %" G_GUINT64_FORMAT, (int)record->pid, record->process_start);
    if (!g_hash_table_lookup_extended(processes, key, NULL, &found)) {
        found = dlk_pid_ref_new_again(record->pid, record->process_start, &problem);
        if (problem) {
            g_propagate_error(error, g_steal_pointer(&problem));
            return FALSE;
        }
        g_hash_table_insert(processes, g_steal_pointer(&key), found);
    }
    *process = found ? dlk_pid_ref_ref(found) : NULL;
    return TRUE;
}

static GRefString *
ref_string(const char *text)
{
    return text ? g_ref_string_new(text) : NULL;
}

static DlkLease *
lease_new(DlkEngine *engine, const DlkLeaseRecord *record, DlkPidRef *process)
{
    /* By the policy as it is now: what a rule of the same name says may be another thing. */
    DlkLease *lease =
        dlk_lease_new(record->disk, dlk_policy_match(engine->policy, record->disk), record->mode);

    lease->id = record->id;
    lease->token = record->token;
    lease->recorded_at = -record->place;
    dlk_lease_take_path(lease, g_strdup(record->path));
    lease->backend = g_intern_string(record->backend);
    lease->state = record->state;
    lease->told = record->given_up ? record->state : DLK_STATE_ACTIVE;
    lease->lifetime = record->lifetime;
    lease->on_break = record->on_break;
    lease->by_descriptor = record->by_descriptor;
    lease->is_data_file = record->is_data_file;
    lease->uid = record->uid;
    lease->pid = record->pid;
    lease->process = process;
    lease->acquired_at = lease->checked_at = record->acquired_at;
    lease->owner = ref_string(record->owner);
    lease->owner_uuid = ref_string(record->owner_uuid);
    lease->why = ref_string(record->why);
    lease->broken_reason = g_strdup(record->broken_reason);
    lease->revoked = record->revoked;
    return lease;
}

/* ---- what is left of its lock ---- */

/* "3,1x" → numbers of the store. */
static void
read_names(const char *names, guint numbers[DLK_HOLD_PARTS])
{
    g_auto(GStrv) parts = g_strsplit(names ? names : "", ",", DLK_HOLD_PARTS);

    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        numbers[i] = i < g_strv_length(parts) ? dlk_fd_store_number(parts[i]) : 0;
}

/* What was not passed is not stored: the lock that is taken again will be. */
static void
take_fds(DlkEngine *engine, const DlkLeaseRecord *record, DlkLeftover *leftover, guint stored[DLK_HOLD_PARTS])
{
    guint spares[DLK_HOLD_PARTS];

    read_names(record->fds, stored);
    read_names(record->spares, spares);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        leftover->fds[i] = dlk_fd_store_take(engine->fd_store, stored[i]);
        const int spare = dlk_fd_store_take(engine->fd_store, spares[i]);
        if (leftover->fds[i] < 0)
            stored[i] = 0;
        if (spare < 0)
            continue;
        /* A conversion had begun to use it: the lock is on it, and no longer on the other for sure. */
        leftover->old_fds[i] = leftover->fds[i];
        leftover->fds[i] = spare;
        dlk_fd_store_put_off(engine->fd_store, stored[i]);
        stored[i] = spares[i];
    }
}

static DlkLeftover *
make_leftover(DlkEngine *engine, const DlkLeaseRecord *record, DlkLease *lease)
{
    DlkLeftover *leftover = dlk_leftover_new(dlk_backends_get(record->backend), record->disk, lease->rule);
    DlkMounts *mounts = dlk_mount_table_get(engine->mounts);
    const char *path = record->disk->path;
    const DlkMount *mount = path && *path == '/' ? dlk_mounts_of_path(mounts, path) : NULL;

    leftover->path = g_strdup(path);
    leftover->lane = g_strdup(mount ? mount->lane : "");
    leftover->mounts = dlk_mounts_ref(mounts);
    leftover->mode = record->mode;
    leftover->other_mode = record->other_mode;
    leftover->strict = record->strict;
    leftover->suspended = record->state == DLK_STATE_SUSPENDED;
    leftover->late_close_until =
        g_get_monotonic_time() + MIN(LATE_CLOSE_US, lease->rule->unreachable_after / 2);
    leftover->pid = lease->process ? lease->pid : 0;
    leftover->holder = dlk_holder_new_of_lease(lease, engine->host_id, engine->host_name);
    return leftover;
}

static void
attach(DlkEngine *engine, DlkLease *lease, const DlkLeaseRecord *record)
{
    g_autoptr(DlkLeftover) leftover = make_leftover(engine, record, lease);
    DlkHolding *holding = dlk_holding_attach(engine, lease, dlk_leftover_hold(leftover), -1);

    holding->provisional = TRUE;
    holding->released = record->released;
    holding->stopping = record->stopping && record->state == DLK_STATE_BROKEN;
    holding->risk_since = MIN(record->risk_since, g_get_monotonic_time());
    take_fds(engine, record, leftover, holding->stored);
}

/* ---- what it ends with ---- */

/*
 * The end of a keep descriptor is lost where there was no store; the caller's copy shows a hangup since then.
 * Whoever took the lease is the best that is left to go by.
 */
static int
take_keep(DlkEngine *engine, DlkLease *lease, const DlkLeaseRecord *record)
{
    const guint number = record->keep ? dlk_fd_store_number(record->keep) : 0;
    const int keep = dlk_fd_store_take(engine->fd_store, number);

    if (keep >= 0)
        dlk_holding(lease)->stored_keep = number;
    if (lease->lifetime != DLK_LIFETIME_FD || keep >= 0)
        return keep;
    lease->lifetime = DLK_LIFETIME_PROCESS;
    dlk_journal_lease(DLK_EVENT_RECOVERED, lease, "the descriptor that kept it was lost",
                      "The descriptor that kept the lease of %s on %s was lost with the service: it now ends "
                      "with process %d",
                      lease->owner, lease->path, (int)lease->pid);
    return -1;
}

static gboolean
restore_lifetime(DlkEngine *engine, DlkLease *lease, const DlkLeaseRecord *record, GError **error)
{
    const int keep = take_keep(engine, lease, record);

    if (lease->lifetime == DLK_LIFETIME_CONNECTION)
        dlk_connection_recover(engine, lease, record->bus, record->bus_name);
    return dlk_holding_watch(engine, lease, NULL, keep, error);
}

/* ---- in the table ---- */

/*
 * Of two records of one disk one is wrong, and who came first is in the right. Leases that could stand
 * together when they were granted still can, whatever readers= says now.
 */
static gboolean
has_rival(DlkEngine *engine, const DlkLease *lease)
{
    g_autoptr(GPtrArray) others = dlk_table_overlapping(engine->table, lease->disk);

    for (guint i = 0; i < others->len; i++) {
        const DlkLease *other = g_ptr_array_index(others, i);

        if (other->phase == DLK_PHASE_HELD && g_str_equal(other->disk->id, lease->disk->id) &&
            dlk_mode_conflicts(other->mode, lease->mode, FALSE))
            return TRUE;
    }
    return FALSE;
}

static const char *
find_fault(DlkEngine *engine, const DlkLease *lease)
{
    if (!dlk_backends_get(lease->backend))
        return "this version of the service has no such backend";
    return has_rival(engine, lease) ? "another lease has the disk after a restart" : NULL;
}

DlkLease *
dlk_recorded_lease_take_up(DlkEngine *engine, const DlkLeaseRecord *record, GHashTable *processes,
                           const char **fault, GError **error)
{
    DlkPidRef *process;

    if (!find_process(processes, record, &process, error))
        return NULL;
    g_autoptr(DlkLease) lease = lease_new(engine, record, process);
    *fault = NULL;
    if (record->given_up) {
        g_clear_pointer(&lease->process, dlk_pid_ref_unref);
        dlk_table_insert(engine->table, lease, DLK_PHASE_LOCKING);
        dlk_table_set_phase(engine->table, lease, DLK_PHASE_BROKEN);
        return g_steal_pointer(&lease);
    }
    *fault = find_fault(engine, lease);
    attach(engine, lease, record);
    dlk_table_insert(engine->table, lease, DLK_PHASE_LOCKING);
    dlk_table_set_phase(engine->table, lease, DLK_PHASE_HELD);
    return restore_lifetime(engine, lease, record, error) ? g_steal_pointer(&lease) : NULL;
}
