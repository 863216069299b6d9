#include "core/recover.h"

#include "base/error.h"
#include "base/log.h"
#include "core/holding.h"
#include "core/leftover.h"
#include "core/record.h"

/*
 * The start after an earlier run: every lease that was written down stands in the table again before the
 * storage is touched, and keeps others out. Then workers find disk and lock of each again, the leases of one
 * filesystem together, and only when all have answered, or their time is up, the service takes its name:
 * calls wait for that.
 */

/* So many leases one job takes up. */
#define BATCH 256
/* The start waits no longer for a storage that hangs, whatever the rule says; systemd gives it 90 seconds. */
#define PATIENCE_US (20 * G_USEC_PER_SEC)

typedef struct {
    guint leases, broken, at_risk, ended;
} Tally;

struct _DlkRecovery {
    DlkEngine *engine;
    GTask *task;
    GHashTable *processes; /* "PID START" → DlkPidRef, or %NULL of one that has ended */
    GHashTable *lanes;     /* lane → GPtrArray of DlkLease, to be taken up together */
    guint jobs;            /* that have not come back */
    Tally tally;
    gint64 began_at;
};

/* The lane of the jobs: that of the device, or of the filesystem where the file is now. */
static const char *
lane_of(const DlkLeftover *leftover)
{
    const DlkDisk *disk = leftover->disk;

    if (disk->kind == DLK_KIND_FILE && leftover->lane[0] != '\0')
        return leftover->lane;
    return disk->lane ? disk->lane : "";
}

/* ---- disk and lock ---- */

typedef struct {
    GPtrArray *leftovers;
    DlkFolderWatchJob *folder_watch;
} Input;

static void
input_free(gpointer data)
{
    Input *input = data;

    g_ptr_array_unref(input->leftovers);
    dlk_folder_watch_end(input->folder_watch);
    g_free(input);
}

static void
revived_clear(gpointer data)
{
    dlk_revived_clear(data);
}

static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    GArray *answers = g_array_sized_new(FALSE, TRUE, sizeof(DlkRevived), input->leftovers->len);

    g_array_set_clear_func(answers, revived_clear);
    g_array_set_size(answers, input->leftovers->len);
    for (guint i = 0; i < input->leftovers->len; i++)
        dlk_leftover_revive(g_ptr_array_index(input->leftovers, i), input->folder_watch,
                            &g_array_index(answers, DlkRevived, i));
    return answers;
}

/* Descriptors that came too late are closed, which unlocks nothing: the leftover has copies. */
static const DlkJob revive_job = {"take up", run, input_free, (GDestroyNotify)g_array_unref};

static gpointer
run_nothing(gpointer data, GError **error)
{
    return NULL;
}

static const DlkJob drop_job = {"let go", run_nothing, (GDestroyNotify)g_ptr_array_unref, NULL};

typedef struct {
    DlkEngine *engine;
    DlkRecovery *recovery; /* %NULL: it is over */
    GPtrArray *leases;
    char *lane;
} Round;

static void one_job_done(DlkRecovery *self);

static void
on_dropped(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(DlkEngine) engine = user_data;

    dlk_pool_run_finish(engine->pool, result, NULL);
}

/* The lock is ours again, or there is none to have: the lease goes on with a hold like any other. */
static void
go_on_with(DlkEngine *engine, DlkLease *lease, DlkRevived *revived, GPtrArray *dropped)
{
    DlkHolding *holding = dlk_holding(lease);

    g_ptr_array_add(dropped, holding->hold);
    holding->hold = g_steal_pointer(&revived->hold);
    holding->folder_watch = revived->folder_watch;
    holding->provisional = FALSE;
    lease->mode = holding->hold->mode;
    /* It may have been handed over, or its process may have ended, meanwhile. */
    g_atomic_int_set(&holding->hold->pid, lease->process ? (int)lease->pid : 0);
    lease->checked_at = g_get_real_time();
    DlkStored stored = {0};
    if (lease->state == DLK_STATE_SUSPENDED)
        stored = dlk_record_take_stored(lease, FALSE);
    else
        dlk_record_store(engine, lease);
    dlk_monitor_watch(engine, lease);
    if (lease->state == DLK_STATE_AT_RISK)
        dlk_break_restore(engine, lease);
    dlk_record_unstore(engine, &stored, dlk_record_change(engine, lease));
}

static void
stay_at_risk(DlkEngine *engine, DlkLease *lease, const char *reason)
{
    DlkHolding *holding = dlk_holding(lease);

    if (lease->state == DLK_STATE_AT_RISK && !holding->risk_timer)
        lease->state = DLK_STATE_ACTIVE; /* nobody has heard of it from this run, and its time runs on */
    if (lease->state == DLK_STATE_ACTIVE)
        dlk_break_set_at_risk(engine, lease, reason);
    dlk_monitor_try_later(engine, lease);
}

/* Was it to end with something that has ended while nobody ran? */
static gboolean
is_over(const DlkLease *lease)
{
    return lease->lifetime == DLK_LIFETIME_PROCESS && !lease->process;
}

static void
end_late(DlkEngine *engine, DlkLease *lease)
{
    static const char why[] = "its process ended while the service was away";

    dlk_journal_dropped(lease, why);
    dlk_engine_release(engine, lease, why);
}

static void
tell(DlkLease *lease, const DlkRevived *revived)
{
    const char *text = revived->text ? revived->text : revived->reason;

    if (revived->answer == DLK_CHECK_LOST)
        dlk_journal_not_recovered(lease, text);
    else if (revived->hold)
        dlk_journal_recovered(lease, revived->kept ? "its lock was kept" : "its lock was taken again");
    else if (revived->text)
        g_message("%s: %s", lease->path, revived->text);
}

static void
apply(Round *round, DlkLease *lease, DlkRevived *revived, GPtrArray *dropped)
{
    DlkEngine *engine = round->engine;
    Tally nobody = {0}, *tally = round->recovery ? &round->recovery->tally : &nobody;

    dlk_holding(lease)->checking = FALSE;
    if (!is_over(lease))
        tell(lease, revived);
    if (revived->hold)
        go_on_with(engine, lease, revived, dropped);
    if (is_over(lease)) {
        tally->ended++;
        end_late(engine, lease);
    } else if (revived->answer == DLK_CHECK_LOST) {
        tally->broken++;
        dlk_break_now(engine, lease, revived->reason);
    } else if (revived->answer == DLK_CHECK_UNKNOWN) {
        tally->at_risk++;
        stay_at_risk(engine, lease, revived->reason);
    }
}

/* Its action had not been seen through, and is run again. */
static void
break_again(DlkEngine *engine, DlkLease *lease)
{
    if (dlk_action_run(engine, lease))
        dlk_break_give_up(engine, lease);
}

static void
on_revived(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Round *round = user_data;
    DlkEngine *engine = round->engine;
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) answers = dlk_pool_run_finish(engine->pool, result, &error);
    g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_hold_unref);

    for (guint i = 0; i < round->leases->len; i++) {
        DlkLease *lease = g_ptr_array_index(round->leases, i);
        DlkRevived none = {.answer = DLK_CHECK_UNKNOWN, .reason = "the storage does not answer"};
        DlkRevived *revived = answers ? &g_array_index(answers, DlkRevived, i) : &none;

        /* It may have ended meanwhile: its end took the lock up by itself. */
        if (lease->phase == DLK_PHASE_HELD && lease->state != DLK_STATE_BROKEN &&
            dlk_holding(lease)->provisional)
            apply(round, lease, revived, dropped);
        if (revived->hold)
            g_ptr_array_add(dropped, g_steal_pointer(&revived->hold));
    }
    dlk_pool_run_async(engine->pool, &drop_job, g_steal_pointer(&dropped), round->lane, NULL, G_MAXINT64,
                       on_dropped, g_object_ref(engine));
    if (round->recovery)
        one_job_done(round->recovery);
    g_ptr_array_unref(round->leases);
    g_free(round->lane);
    g_object_unref(round->engine);
    g_free(round);
}

/* @leases: of one lane. @disk: what the job waits for its turn for, or %NULL. */
static void
revive(DlkEngine *engine, DlkRecovery *recovery, const char *lane, DlkLease **leases, guint n,
       const char *disk)
{
    Round *round = g_new0(Round, 1);
    Input *input = g_new0(Input, 1);
    gint64 unreachable_after = 0;

    *round = (Round){g_object_ref(engine), recovery,
                     g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref), g_strdup(lane)};
    input->folder_watch = dlk_folder_watch_begin(engine->folder_watch);
    input->leftovers = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_leftover_unref);
    for (guint i = 0; i < n; i++) {
        DlkHolding *holding = dlk_holding(leases[i]);

        holding->checking = TRUE;
        g_ptr_array_add(round->leases, dlk_lease_ref(leases[i]));
        g_ptr_array_add(input->leftovers, dlk_leftover_ref(holding->hold->state));
        unreachable_after = MAX(unreachable_after, leases[i]->rule->unreachable_after);
    }
    dlk_pool_run_async(engine->pool, &revive_job, input, lane, disk,
                       g_get_monotonic_time() + MIN(unreachable_after, PATIENCE_US), on_revived, round);
}

void
dlk_recover_again(DlkEngine *engine, DlkLease *lease)
{
    const DlkLeftover *leftover = dlk_holding(lease)->hold->state;

    revive(engine, NULL, lane_of(leftover), &lease, 1, lease->disk->id);
}

static void
revive_lane(DlkRecovery *self, const char *lane, GPtrArray *leases)
{
    DlkLease **first = (DlkLease **)leases->pdata;
    guint n = 0;

    /* Exchanged, not overwritten: each is unreferenced with the array, and once. */
    for (guint i = 0; i < leases->len; i++) {
        DlkLease *lease = first[i];

        if (lease->state == DLK_STATE_BROKEN) {
            break_again(self->engine, lease);
            continue;
        }
        first[i] = first[n];
        first[n++] = lease;
    }
    for (guint i = 0; i < n; i += BATCH) {
        self->jobs++;
        revive(self->engine, self, lane, first + i, MIN(BATCH, n - i), NULL);
    }
}

/* ---- all together ---- */

static void
recovery_free(DlkRecovery *self)
{
    g_hash_table_unref(self->processes);
    g_hash_table_unref(self->lanes);
    g_object_unref(self->task);
    g_object_unref(self->engine);
    g_free(self);
}

static void
finish_if_done(DlkRecovery *self)
{
    const Tally *tally = &self->tally;

    if (self->jobs > 0)
        return;
    /* Until now whatever ends this process leaves the next one with what this one had. */
    dlk_record_begin(self->engine);
    if (tally->leases > 0) {
        g_autofree char *text = g_strdup_printf(
            "%u leases were taken up again in %.2f s: %u are broken, %u at risk, %u have ended meanwhile",
            tally->leases, (double)(g_get_monotonic_time() - self->began_at) / G_USEC_PER_SEC, tally->broken,
            tally->at_risk, tally->ended);

        dlk_log_event(DLK_EVENT_RECOVERY_DONE, NULL, text);
    }
    g_task_return_boolean(self->task, TRUE);
    recovery_free(self);
}

static void
one_job_done(DlkRecovery *self)
{
    self->jobs--;
    finish_if_done(self);
}

static void
on_run(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkRecovery *self = user_data;

    dlk_pool_run_finish(self->engine->pool, result, NULL);
    one_job_done(self);
}

void
dlk_recovery_run(DlkRecovery *self, const DlkJob *job, gpointer input, const char *lane)
{
    self->jobs++;
    dlk_pool_run_async(self->engine->pool, job, input, lane, NULL, self->began_at + PATIENCE_US, on_run,
                       self);
}

static void
process_unref(gpointer process)
{
    g_clear_pointer((DlkPidRef **)&process, dlk_pid_ref_unref);
}

static void
add_to_lane(DlkRecovery *self, DlkLease *lease)
{
    const char *lane = lane_of(dlk_holding(lease)->hold->state);
    GPtrArray *leases = g_hash_table_lookup(self->lanes, lane);

    if (!leases) {
        leases = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);
        g_hash_table_insert(self->lanes, g_strdup(lane), leases);
    }
    g_ptr_array_add(leases, dlk_lease_ref(lease));
}

typedef struct {
    DlkLease *lease;
    const char *reason;
} Fault;

static void
fault_clear(gpointer fault)
{
    dlk_lease_unref(((Fault *)fault)->lease);
}

static void
tell_double(DlkEngine *engine)
{
    const DlkLogField fields[] = {
        {"DISKLOCK_FILE", engine->runtime_dir}, {"DISKLOCK_REASON", "two leases have one token"}, {0}};

    dlk_log_event(DLK_EVENT_RECORD_DAMAGED, fields,
                  "Of two records of leases with one token one is passed over");
}

static gboolean
take_up(DlkRecovery *self, const DlkLeaseRecord *record, GArray *faults, GError **error)
{
    DlkEngine *engine = self->engine;
    const DlkLease *same_token = dlk_table_next(engine->table, record->token - 1);
    Fault fault;

    /* Cannot be but by a forged file, which is not to confuse the table. */
    if (same_token && same_token->token == record->token) {
        tell_double(engine);
        return TRUE;
    }
    fault.lease = dlk_recorded_lease_take_up(engine, record, self->processes, &fault.reason, error);
    if (!fault.lease)
        return FALSE;
    self->tally.leases++;
    dlk_tokens_pass(engine->tokens, record->token);
    if (fault.reason)
        g_array_append_val(faults, fault);
    else if (dlk_holding(fault.lease))
        add_to_lane(self, fault.lease);
    if (!fault.reason)
        dlk_lease_unref(fault.lease);
    return TRUE;
}

/* Its lock is of no use; its process must not go on as if it had one. */
static void
break_faulty(DlkRecovery *self, GArray *faults)
{
    for (guint i = 0; i < faults->len; i++) {
        const Fault *fault = &g_array_index(faults, Fault, i);

        if (fault->lease->state == DLK_STATE_BROKEN) {
            break_again(self->engine, fault->lease);
            continue;
        }
        self->tally.broken++;
        dlk_journal_not_recovered(fault->lease, fault->reason);
        dlk_break_now(self->engine, fault->lease, fault->reason);
    }
}

static gboolean
take_up_all(DlkRecovery *self, GError **error)
{
    g_autoptr(GPtrArray) records = dlk_lease_journal_take_records(self->engine->lease_journal);
    g_autoptr(GArray) faults = g_array_new(FALSE, FALSE, sizeof(Fault));

    g_array_set_clear_func(faults, fault_clear);
    for (guint i = 0; i < records->len; i++)
        if (!take_up(self, g_ptr_array_index(records, i), faults, error))
            return FALSE;
    break_faulty(self, faults);
    return TRUE;
}

void
dlk_engine_recover_async(DlkEngine *engine, GAsyncReadyCallback callback, gpointer user_data)
{
    DlkRecovery *self = g_new0(DlkRecovery, 1);
    GHashTableIter iter;
    gpointer lane, leases;
    GError *error = NULL;

    self->engine = g_object_ref(engine);
    self->task = g_task_new(engine, NULL, callback, user_data);
    self->began_at = g_get_monotonic_time();
    self->processes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, process_unref);
    self->lanes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    if (!take_up_all(self, &error)) {
        g_task_return_error(self->task, error);
        recovery_free(self);
        return;
    }
    self->jobs++; /* no answer before all are asked */
    dlk_orphans_drop(engine, self);
    dlk_unregister_leftovers(engine, self);
    g_hash_table_iter_init(&iter, self->lanes);
    while (g_hash_table_iter_next(&iter, &lane, &leases))
        revive_lane(self, lane, leases);
    one_job_done(self);
}

gboolean
dlk_engine_recover_finish(DlkEngine *engine, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
