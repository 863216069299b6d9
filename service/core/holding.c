#include "core/holding.h"

#include "base/error.h"
#include "base/fd.h"
#include "core/connection.h"

#include <errno.h>

/* What ends together: the leases of one process. */
typedef struct {
    DlkEngine *engine;
    DlkPidRef *process;
    DlkWatch *watch;
    GHashTable *leases; /* set of DlkLease, borrowed: a lease leaves before it is freed */
} DlkProcessEntry;

static void
process_entry_free(gpointer data)
{
    DlkProcessEntry *entry = data;

    dlk_watcher_cancel(entry->engine->watcher, &entry->watch);
    g_hash_table_unref(entry->leases);
    dlk_pid_ref_unref(entry->process);
    g_free(entry);
}

static void
on_process_ended(gpointer user_data)
{
    DlkProcessEntry *entry = user_data;
    DlkEngine *engine = entry->engine;
    g_autoptr(GPtrArray) leases = dlk_holding_leases_of(entry->leases);

    entry->watch = NULL;
    g_hash_table_remove(engine->processes, entry->process);
    for (guint i = 0; i < leases->len; i++) {
        DlkLease *lease = g_ptr_array_index(leases, i);

        g_clear_pointer(&lease->process, dlk_pid_ref_unref);
        if (lease->phase != DLK_PHASE_HELD)
            continue;
        /* The number may be another process's from now on: its locks are foreign. */
        if (dlk_holding(lease)->hold)
            g_atomic_int_set(&dlk_holding(lease)->hold->pid, 0);
        if (lease->state == DLK_STATE_BROKEN)
            dlk_break_process_ended(engine, lease);
        else if (lease->lifetime == DLK_LIFETIME_PROCESS)
            dlk_engine_release(engine, lease, "its process has ended");
    }
}

static gboolean
watch_process(DlkEngine *engine, DlkLease *lease, GError **error)
{
    DlkProcessEntry *entry = g_hash_table_lookup(engine->processes, lease->process);

    if (!entry) {
        entry = g_new0(DlkProcessEntry, 1);
        entry->engine = engine;
        entry->process = dlk_pid_ref_ref(lease->process);
        entry->leases = g_hash_table_new(NULL, NULL);
        entry->watch =
            dlk_watcher_add(engine->watcher, dlk_pid_ref_fd(entry->process), FALSE, on_process_ended, entry);
        if (!entry->watch) {
            int saved_errno = errno;

            process_entry_free(entry);
            return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, saved_errno,
                                       "cannot watch process %d", (int)lease->pid);
        }
        g_hash_table_insert(engine->processes, entry->process, entry);
    }
    g_hash_table_add(entry->leases, lease);
    return TRUE;
}

static void
unwatch_process(DlkEngine *engine, DlkLease *lease, DlkPidRef *process)
{
    DlkProcessEntry *entry = process ? g_hash_table_lookup(engine->processes, process) : NULL;

    if (!entry)
        return;
    g_hash_table_remove(entry->leases, lease);
    if (g_hash_table_size(entry->leases) == 0)
        g_hash_table_remove(engine->processes, entry->process);
}

static void
on_keep_closed(gpointer user_data)
{
    DlkLease *lease = user_data;

    dlk_holding(lease)->keep_watch = NULL;
    dlk_engine_release(dlk_holding(lease)->engine, lease, "its keep descriptor is closed");
}

static gboolean
watch_keep(DlkEngine *engine, DlkLease *lease, int keep_fd, GError **error)
{
    DlkHolding *holding = dlk_holding(lease);

    holding->keep_fd = keep_fd;
    holding->keep_watch = dlk_watcher_add(engine->watcher, keep_fd, TRUE, on_keep_closed, lease);
    if (holding->keep_watch)
        return TRUE;
    return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot watch the keep descriptor");
}

GPtrArray *
dlk_holding_leases_of(GHashTable *set)
{
    GPtrArray *leases = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);
    GHashTableIter iter;
    gpointer lease;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &lease, NULL))
        g_ptr_array_add(leases, dlk_lease_ref(lease));
    return leases;
}

DlkHolding *
dlk_holding_attach(DlkEngine *engine, DlkLease *lease, DlkHold *hold, int folder_watch)
{
    DlkHolding *holding = g_new0(DlkHolding, 1);
    const char *lane = dlk_rule_lane(lease->rule, lease->disk);

    holding->engine = engine;
    holding->number = engine->attached++;
    holding->lane = g_ref_string_new_intern(lane ? lane : "");
    holding->hold = hold;
    holding->folder_watch = folder_watch;
    holding->keep_fd = -1;
    lease->holding = holding;
    return holding;
}

gboolean
dlk_holding_watch(DlkEngine *engine, DlkLease *lease, DlkCaller *caller, int keep_fd, GError **error)
{
    if (lease->process && !watch_process(engine, lease, error)) {
        dlk_close_fd(&keep_fd);
        return FALSE;
    }
    if (lease->lifetime == DLK_LIFETIME_CONNECTION && caller)
        dlk_connection_watch(engine, lease, caller->name);
    if (keep_fd >= 0 && !watch_keep(engine, lease, keep_fd, error)) {
        dlk_holding_unwatch(engine, lease);
        return FALSE;
    }
    return TRUE;
}

gboolean
dlk_holding_hand_over(DlkEngine *engine, DlkLease *lease, DlkPidRef *process, DlkLifetime lifetime,
                      DlkCaller *caller, GError **error)
{
    g_autoptr(DlkPidRef) before = lease->process;

    lease->process = process ? dlk_pid_ref_ref(process) : NULL;
    if (process && process != before && !watch_process(engine, lease, error)) {
        dlk_pid_ref_unref(lease->process);
        lease->process = g_steal_pointer(&before);
        return FALSE;
    }
    if (before != process)
        unwatch_process(engine, lease, before);
    dlk_connection_unwatch(engine, lease);
    lease->pid = process ? dlk_pid_ref_pid(process) : 0;
    lease->lifetime = lifetime;
    if (lifetime == DLK_LIFETIME_CONNECTION)
        dlk_connection_watch(engine, lease, caller->name);
    /* Whose locks on the disk are no stranger's. */
    g_atomic_int_set(&dlk_holding(lease)->hold->pid, (int)lease->pid);
    return TRUE;
}

void
dlk_holding_unwatch(DlkEngine *engine, DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);

    unwatch_process(engine, lease, lease->process);
    dlk_connection_unwatch(engine, lease);
    dlk_watcher_cancel(engine->watcher, &holding->keep_watch);
    dlk_close_fd(&holding->keep_fd);
    holding->keep_fd = -1;
    dlk_timers_cancel(engine->timers, &holding->risk_timer);
    dlk_timers_cancel(engine->timers, &holding->grace_timer);
    g_clear_pointer(&lease->process, dlk_pid_ref_unref);
}

void
dlk_holding_free(DlkLease *lease)
{
    DlkHolding *holding = g_steal_pointer(&lease->holding);

    g_assert(holding->hold == NULL && holding->check_timer == NULL);
    g_clear_object(&holding->program);
    g_ref_string_release(holding->lane);
    g_free(holding);
}

void
dlk_holding_init_engine(DlkEngine *engine)
{
    engine->processes = g_hash_table_new_full(NULL, NULL, NULL, process_entry_free);
    dlk_connection_init_engine(engine);
}
