#include "core/recover.h"

#include "backend/backends.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/holding.h"
#include "core/leftover.h"
#include "core/record.h"

#include <string.h>

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
    DlkEngine *engine;
    GTask *task;
    GHashTable *processes; /* "PID START" → DlkPidRef, or %NULL of one that has ended */
    GHashTable *lanes;     /* lane → GPtrArray of DlkLease, to be taken up together */
    guint jobs;            /* that have not come back */
    guint leases, broken, at_risk, ended;
    gint64 began_at;
} Recovery;

/* ---- one lease ---- */

/* "3,1x" → numbers of the store. */
static void
read_names(const char *names, guint numbers[DLK_HOLD_PARTS])
{
    g_auto(GStrv) parts = g_strsplit(names ? names : "", ",", DLK_HOLD_PARTS);

    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        numbers[i] = i < g_strv_length(parts) ? dlk_fd_store_number(parts[i]) : 0;
}

static void
take_fds(DlkEngine *engine, const DlkLeaseRecord *record, DlkLeftover *leftover, guint stored[DLK_HOLD_PARTS])
{
    guint spares[DLK_HOLD_PARTS];

    read_names(record->fds, stored);
    read_names(record->spares, spares);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        leftover->fds[i] = dlk_fd_store_take(engine->fd_store, stored[i]);
        const int spare = dlk_fd_store_take(engine->fd_store, spares[i]);
        if (spare < 0) {
            dlk_fd_store_remove(engine->fd_store, spares[i]);
            continue;
        }
        /* A conversion had begun to use it: the lock is on it, and no longer on the other for sure. */
        leftover->old_fds[i] = leftover->fds[i];
        leftover->fds[i] = spare;
        dlk_fd_store_remove(engine->fd_store, stored[i]);
        stored[i] = spares[i];
    }
}

static DlkLeftover *
make_leftover(Recovery *self, const DlkLeaseRecord *record, DlkLease *lease, DlkBackend *backend)
{
    DlkEngine *engine = self->engine;
    DlkLeftover *leftover = dlk_leftover_new(backend, record->disk, lease->rule);
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
    leftover->pid = lease->process ? lease->pid : 0;
    leftover->holder = dlk_holder_new_of_lease(lease, engine->host_id, engine->host_name);
    return leftover;
}

/* The lane of the jobs: that of the device, or of the filesystem where the file is now. */
static const char *
lane_of(const DlkLeftover *leftover)
{
    const DlkDisk *disk = leftover->disk;

    if (disk->kind == DLK_KIND_FILE && leftover->lane[0] != '\0')
        return leftover->lane;
    return disk->lane ? disk->lane : "";
}

static void
add_to_lane(Recovery *self, DlkLease *lease, const char *lane)
{
    GPtrArray *leases = g_hash_table_lookup(self->lanes, lane);

    if (!leases) {
        leases = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);
        g_hash_table_insert(self->lanes, g_strdup(lane), leases);
    }
    g_ptr_array_add(leases, dlk_lease_ref(lease));
}

/*
 * The end of a keep descriptor is lost where there was no store; the caller's copy shows a hangup since then.
 * Whoever took the lease is the best that is left to go by.
 */
static void
restore_lifetime(DlkEngine *engine, DlkLease *lease, const DlkLeaseRecord *record)
{
    g_autoptr(GError) error = NULL;
    const guint number = record->keep ? dlk_fd_store_number(record->keep) : 0;
    int keep = dlk_fd_store_take(engine->fd_store, number);

    dlk_holding(lease)->stored_keep = number;
    if (lease->lifetime == DLK_LIFETIME_FD && keep < 0) {
        lease->lifetime = DLK_LIFETIME_PROCESS;
        dlk_fd_store_remove(engine->fd_store, number);
        dlk_holding(lease)->stored_keep = 0;
        dlk_journal_lease(
            DLK_EVENT_RECOVERED, lease, NULL,
            "The descriptor that kept the lease of %s on %s was lost with the service: it now ends with "
            "process %d",
            lease->owner, lease->path, (int)lease->pid);
    }
    if (!dlk_holding_watch(engine, lease, NULL, keep, &error))
        dlk_journal_lease(DLK_EVENT_NOT_RECOVERED, lease, error->message, "%s: %s", lease->path,
                          error->message);
}

static void
insert_broken(DlkEngine *engine, DlkLease *lease, const char *reason)
{
    lease->state = DLK_STATE_BROKEN;
    if (!lease->broken_reason)
        lease->broken_reason = g_strdup(reason);
    g_clear_pointer(&lease->process, dlk_pid_ref_unref);
    dlk_table_insert(engine->table, lease, DLK_PHASE_LOCKING);
    dlk_table_set_phase(engine->table, lease, DLK_PHASE_BROKEN);
}

static void
insert_held(Recovery *self, DlkLease *lease, const DlkLeaseRecord *record, DlkBackend *backend)
{
    DlkEngine *engine = self->engine;
    g_autoptr(DlkLeftover) leftover = make_leftover(self, record, lease, backend);
    DlkHolding *holding = dlk_holding_attach(engine, lease, dlk_leftover_hold(leftover), -1);

    holding->provisional = TRUE;
    holding->released = record->released;
    holding->risk_since = record->risk_since;
    take_fds(engine, record, leftover, holding->stored);
    dlk_table_insert(engine->table, lease, DLK_PHASE_LOCKING);
    dlk_table_set_phase(engine->table, lease, DLK_PHASE_HELD);
    restore_lifetime(engine, lease, record);
    add_to_lane(self, lease, lane_of(leftover));
}

static void
take_up(Recovery *self, const DlkLeaseRecord *record)
{
    DlkEngine *engine = self->engine;
    DlkBackend *backend = dlk_backends_get(record->backend);
    const DlkLease *same_token = dlk_table_next(engine->table, record->token - 1);

    /* Cannot be but by a forged file, which is not to confuse the table. */
    if (same_token && same_token->token == record->token)
        return;
    g_autoptr(DlkLease) lease = dlk_recorded_lease_new(engine, record, self->processes);
    dlk_tokens_pass(engine->tokens, record->token);
    self->leases++;
    if (record->state == DLK_STATE_BROKEN && record->given_up)
        insert_broken(engine, lease, NULL);
    else if (!backend)
        insert_broken(engine, lease, "this version has no such backend");
    else if (dlk_table_conflict(engine->table, lease))
        insert_broken(engine, lease, "another lease has the disk after a restart");
    else
        insert_held(self, lease, record, backend);
}

/* ---- disk and lock ---- */

typedef struct {
    GPtrArray *leftovers;
    DlkFolderWatch *folder_watch;
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
    Recovery *recovery; /* %NULL: it is over */
    GPtrArray *leases;
    char *lane;
} Round;

static void finish_if_done(Recovery *self);

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
    lease->checked_at = g_get_real_time();
    if (lease->state == DLK_STATE_SUSPENDED)
        dlk_record_unstore(engine, lease, FALSE);
    else
        dlk_record_store(engine, lease);
    dlk_monitor_watch(engine, lease);
    if (lease->state == DLK_STATE_AT_RISK)
        dlk_break_restore(engine, lease);
    else
        dlk_record_change(engine, lease);
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

/* TRUE: it was to end with something that has ended while nobody ran. */
static gboolean
end_if_over(DlkEngine *engine, DlkLease *lease)
{
    if (lease->lifetime != DLK_LIFETIME_PROCESS || lease->process)
        return FALSE;
    dlk_engine_release(engine, lease, "its process ended while the service was away");
    return TRUE;
}

static void
apply(Round *round, DlkLease *lease, DlkRevived *revived, GPtrArray *dropped)
{
    DlkEngine *engine = round->engine;
    Recovery *recovery = round->recovery;

    dlk_holding(lease)->checking = FALSE;
    if (revived->text && revived->answer != DLK_CHECK_HELD)
        dlk_journal_lease(DLK_EVENT_NOT_RECOVERED, lease, revived->reason,
                          "The lease of %s on %s could not be taken up: %s", lease->owner, lease->path,
                          revived->text);
    if (revived->hold)
        go_on_with(engine, lease, revived, dropped);
    if (end_if_over(engine, lease)) {
        if (recovery)
            recovery->ended++;
    } else if (revived->answer == DLK_CHECK_LOST) {
        if (recovery)
            recovery->broken++;
        dlk_break_now(engine, lease, revived->reason);
    } else if (revived->answer == DLK_CHECK_UNKNOWN) {
        if (recovery)
            recovery->at_risk++;
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
    if (round->recovery) {
        round->recovery->jobs--;
        finish_if_done(round->recovery);
    }
    g_ptr_array_unref(round->leases);
    g_free(round->lane);
    g_object_unref(round->engine);
    g_free(round);
}

/* @leases: of one lane. @disk: what the job waits for its turn for, or %NULL. */
static void
revive(DlkEngine *engine, Recovery *recovery, const char *lane, DlkLease **leases, guint n, const char *disk)
{
    Round *round = g_new0(Round, 1);
    Input *input = g_new0(Input, 1);
    gint64 unreachable_after = 0;

    *round = (Round){g_object_ref(engine), recovery,
                     g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref), g_strdup(lane)};
    input->folder_watch = engine->folder_watch;
    input->leftovers = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_leftover_unref);
    for (guint i = 0; i < n; i++) {
        DlkHolding *holding = dlk_holding(leases[i]);

        holding->checking = TRUE;
        g_ptr_array_add(round->leases, dlk_lease_ref(leases[i]));
        g_ptr_array_add(input->leftovers, dlk_leftover_ref(holding->hold->state));
        unreachable_after = MAX(unreachable_after, leases[i]->rule->unreachable_after);
    }
    dlk_folder_watch_begin(engine->folder_watch);
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
revive_lane(Recovery *self, const char *lane, GPtrArray *leases)
{
    DlkLease **first = (DlkLease **)leases->pdata;
    guint n = 0;

    for (guint i = 0; i < leases->len; i++)
        if (first[i]->state == DLK_STATE_BROKEN)
            break_again(self->engine, first[i]);
        else
            first[n++] = first[i];
    for (guint i = 0; i < n; i += BATCH) {
        self->jobs++;
        revive(self->engine, self, lane, first + i, MIN(BATCH, n - i), NULL);
    }
}

/* ---- all together ---- */

static void
finish_if_done(Recovery *self)
{
    if (self->jobs > 0)
        return;
    /* Until now whatever ends this process leaves the next one with what this one had. */
    dlk_record_rewrite(self->engine);
    if (self->leases > 0) {
        g_autofree char *text = g_strdup_printf(
            "%u leases were taken up again in %.2f s: %u are broken, %u at risk, %u have ended meanwhile",
            self->leases, (double)(g_get_monotonic_time() - self->began_at) / G_USEC_PER_SEC, self->broken,
            self->at_risk, self->ended);

        dlk_log_event(DLK_EVENT_RECOVERY_DONE, NULL, text);
    }
    g_task_return_boolean(self->task, TRUE);
    g_hash_table_unref(self->processes);
    g_hash_table_unref(self->lanes);
    g_object_unref(self->task);
    g_object_unref(self->engine);
    g_free(self);
}

static void
process_unref(gpointer process)
{
    g_clear_pointer((DlkPidRef **)&process, dlk_pid_ref_unref);
}

void
dlk_engine_recover_async(DlkEngine *engine, GAsyncReadyCallback callback, gpointer user_data)
{
    Recovery *self = g_new0(Recovery, 1);
    g_autoptr(GPtrArray) records = dlk_lease_journal_take_records(engine->lease_journal);
    GHashTableIter iter;
    gpointer lane, leases;

    self->engine = g_object_ref(engine);
    self->task = g_task_new(engine, NULL, callback, user_data);
    self->began_at = g_get_monotonic_time();
    self->processes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, process_unref);
    self->lanes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    for (guint i = 0; i < records->len; i++)
        take_up(self, g_ptr_array_index(records, i));
    dlk_orphans_drop(engine);
    self->jobs++; /* no answer before all are asked */
    g_hash_table_iter_init(&iter, self->lanes);
    while (g_hash_table_iter_next(&iter, &lane, &leases))
        revive_lane(self, lane, leases);
    self->jobs--;
    finish_if_done(self);
}

void
dlk_engine_recover_finish(DlkEngine *engine, GAsyncResult *result)
{
    g_task_propagate_boolean(G_TASK(result), NULL);
}
