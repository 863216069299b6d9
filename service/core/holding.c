#include "core/holding.h"

#include "base/error.h"
#include "base/fd.h"
#include "core/connection.h"
#include "core/process.h"

#include <errno.h>

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
    if (lease->process && !dlk_process_watch(engine, lease, error)) {
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
    if (!process != !lease->process || (process && !dlk_pid_ref_equal(process, lease->process))) {
        g_autoptr(DlkPidRef) before = lease->process;

        lease->process = process ? dlk_pid_ref_ref(process) : NULL;
        if (process && !dlk_process_watch(engine, lease, error)) {
            dlk_pid_ref_unref(lease->process);
            lease->process = g_steal_pointer(&before);
            return FALSE;
        }
        dlk_process_unwatch(engine, lease, before);
    }
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

    dlk_process_unwatch(engine, lease, lease->process);
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
    dlk_process_init_engine(engine);
    dlk_connection_init_engine(engine);
}
