#include "base/error.h"
#include "core/holding.h"
#include "core/lock-job.h"
#include "core/record.h"

/* Broken leases stay readable, but not for ever. */
#define BROKEN_KEPT 1000

static void
enter(DlkLease *lease, DlkLeaseState state)
{
    g_assert(dlk_lease_state_may_follow(lease->state, state));
    lease->state = state;
}

void
dlk_break_set_state(DlkEngine *engine, DlkLease *lease, DlkLeaseState state)
{
    dlk_timers_cancel(engine->timers, &dlk_holding(lease)->risk_timer);
    dlk_holding(lease)->risk_since = 0;
    enter(lease, state);
    dlk_record_change(engine, lease);
    g_signal_emit_by_name(engine, "changed", lease);
}

static void
on_risk_timeout(gpointer user_data)
{
    DlkLease *lease = user_data;
    DlkHolding *holding = dlk_holding(lease);

    /* The timer dies with the holding, so that both are still there. */
    holding->risk_timer = NULL;
    dlk_break_now(holding->engine, lease, "at risk for longer than the policy's risk-timeout");
}

void
dlk_break_set_at_risk(DlkEngine *engine, DlkLease *lease, const char *reason)
{
    DlkHolding *holding = dlk_holding(lease);

    if (lease->state != DLK_STATE_ACTIVE)
        return;
    enter(lease, DLK_STATE_AT_RISK);
    g_free(lease->risk_reason);
    lease->risk_reason = g_strdup(reason);
    /* A restart of the service gives no new time. */
    if (holding->risk_since == 0)
        holding->risk_since = g_get_monotonic_time();
    holding->risk_timer = dlk_timers_add(engine->timers, holding->risk_since + lease->rule->risk_timeout,
                                         on_risk_timeout, lease);
    dlk_record_change(engine, lease);
    dlk_journal_lease(DLK_EVENT_AT_RISK, lease, reason, "The lease of %s on %s is at risk: %s", lease->owner,
                      lease->path, reason);
    g_signal_emit_by_name(engine, "at-risk", lease, reason);
    g_signal_emit_by_name(engine, "changed", lease);
}

void
dlk_break_restore(DlkEngine *engine, DlkLease *lease)
{
    if (lease->state != DLK_STATE_AT_RISK)
        return;
    dlk_timers_cancel(engine->timers, &dlk_holding(lease)->risk_timer);
    dlk_holding(lease)->risk_since = 0;
    enter(lease, DLK_STATE_ACTIVE);
    dlk_record_change(engine, lease);
    dlk_journal_lease(DLK_EVENT_RESTORED, lease, NULL, "The lease of %s on %s is no longer at risk",
                      lease->owner, lease->path);
    g_signal_emit_by_name(engine, "restored", lease);
    g_signal_emit_by_name(engine, "changed", lease);
}

static void
forget_oldest(DlkEngine *engine)
{
    DlkLease *oldest = dlk_table_oldest_broken(engine->table, BROKEN_KEPT);

    if (oldest)
        dlk_engine_release(engine, oldest, "it was the oldest of too many broken leases");
}

void
dlk_break_give_up(DlkEngine *engine, DlkLease *lease)
{
    g_autoptr(DlkLease) kept G_GNUC_UNUSED = dlk_lease_ref(lease);
    DlkHolding *holding = dlk_holding(lease);
    DlkHold *hold = g_steal_pointer(&holding->hold);
    gboolean released = holding->released;

    const DlkStored stored = dlk_record_take_stored(lease, TRUE);
    dlk_holding_unwatch(engine, lease);
    dlk_holding_free(lease);
    dlk_record_unstore(engine, &stored, dlk_record_change(engine, lease));
    dlk_table_set_phase(engine->table, lease, DLK_PHASE_BROKEN);
    dlk_journal_lease(DLK_EVENT_GIVEN_UP, lease, lease->broken_reason,
                      "%s is free: the broken lease of %s has been given up", lease->path, lease->owner);
    /* Whoever is served now locks behind this job: the pool does one thing at a time for one disk. */
    dlk_lock_job_undo(engine, hold);
    dlk_acquire_wake(engine, lease->disk);
    if (released)
        dlk_engine_release(engine, lease, "released");
    forget_oldest(engine);
}

void
dlk_break_now(DlkEngine *engine, DlkLease *lease, const char *reason)
{
    g_autoptr(DlkLease) kept G_GNUC_UNUSED = dlk_lease_ref(lease);
    DlkHolding *holding = dlk_holding(lease);

    dlk_timers_cancel(engine->timers, &holding->risk_timer);
    dlk_monitor_forget(engine, lease, holding->hold->target);
    enter(lease, DLK_STATE_BROKEN);
    lease->broken_reason = g_strdup(reason);
    dlk_record_change(engine, lease);
    dlk_journal_lease(DLK_EVENT_BROKEN, lease, reason, "The lease of %s on %s is broken: %s; on-break is %s",
                      lease->owner, lease->path, reason, dlk_on_break_to_string(lease->on_break));
    g_signal_emit_by_name(engine, "broken", lease, reason);
    g_signal_emit_by_name(engine, "changed", lease);
    if (dlk_action_run(engine, lease))
        dlk_break_give_up(engine, lease);
}

void
dlk_break_process_ended(DlkEngine *engine, DlkLease *lease)
{
    /* A program of the administrator's still runs: the lock waits for its end. */
    if (!dlk_holding(lease)->program)
        dlk_break_give_up(engine, lease);
}

gboolean
dlk_engine_break(DlkEngine *self, DlkLease *lease, const DlkCaller *by, const char *reason, GError **error)
{
    if (lease->phase != DLK_PHASE_HELD || lease->state == DLK_STATE_BROKEN) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: the lease is broken already (%s)",
                    lease->path, lease->broken_reason ? lease->broken_reason : "");
        return FALSE;
    }
    dlk_journal_forced(DLK_EVENT_REVOKED, lease, by, reason);
    lease->revoked = TRUE;
    dlk_break_now(self, lease, reason);
    return TRUE;
}
