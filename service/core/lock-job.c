#include "core/lock-job.h"

#include "backend/reach.h"
#include "base/error.h"
#include "base/text.h"

typedef struct {
    DlkTarget *target;
    DlkBackend *backend, *fallback;
    DlkRule *rule;
    DlkMode mode;
    pid_t pid;
    DlkHolder *holder;
    DlkFolderWatchJob *folder_watch;
} Input;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_target_unref(input->target);
    dlk_rule_unref(input->rule);
    dlk_holder_unref(input->holder);
    dlk_folder_watch_end(input->folder_watch);
    g_free(input);
}

static void
give_back(gpointer data)
{
    g_autoptr(DlkHold) hold = data;
    g_autoptr(GError) error = NULL;

    /* Closing the descriptor, next, unlocks in any case. */
    if (!dlk_backend_release(hold->backend, hold, &error))
        g_message("%s", error->message);
}

static void
locked_give_back(gpointer data)
{
    DlkLocked *locked = data;

    give_back(locked->hold);
    g_free(locked);
}

DlkBackend *
dlk_lock_job_choose_backend(const DlkTarget *target, const DlkRule *rule, DlkBackend *backend,
                            DlkBackend *fallback, GError **error)
{
    g_autoptr(GError) unsupported = NULL;

    if (dlk_backend_probe(backend, target, rule, &unsupported) &&
        dlk_reach_suffices(backend, target, rule, &unsupported))
        return backend;
    if (fallback && g_error_matches(unsupported, DLK_ERROR, DLK_ERROR_UNSUPPORTED))
        return dlk_backend_probe(fallback, target, rule, error) ? fallback : NULL;
    g_propagate_error(error, g_steal_pointer(&unsupported));
    return NULL;
}

/* Between the walk and the watch the file may have been replaced; from the watch on it would be heard of. */
static gboolean
still_the_same(DlkHold *hold, GError **error)
{
    g_autofree char *reason = NULL;

    const DlkCheck answer = dlk_backend_check(hold->backend, hold, &reason);
    if (answer == DLK_CHECK_HELD)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                answer == DLK_CHECK_LOST
                    ? "%s changed while it was being locked (%s): try again"
                    : "%s was locked, and the storage did not say that it is still the same (%s): try again",
                dlk_disk_label(hold->target->disk), reason);
    return FALSE;
}

static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    DlkBackend *backend =
        dlk_lock_job_choose_backend(input->target, input->rule, input->backend, input->fallback, error);

    if (!backend)
        return NULL;

    g_autoptr(DlkHold) hold =
        dlk_hold_new(backend, input->target, input->mode, input->rule->strict_readers, input->pid);
    dlk_hold_set_holder(hold, input->holder);
    if (!dlk_backend_acquire(backend, hold, input->rule, error))
        return NULL;

    int watch = dlk_folder_watch_add(input->folder_watch, input->target);
    if (!still_the_same(hold, error)) {
        give_back(g_steal_pointer(&hold));
        return NULL;
    }

    DlkLocked *locked = g_new0(DlkLocked, 1);
    locked->hold = g_steal_pointer(&hold);
    locked->folder_watch = watch;
    return locked;
}

static const DlkJob lock_job = {"lock", run, input_free, locked_give_back};

void
dlk_lock_job_run(DlkEngine *engine, const DlkLease *lease, DlkTarget *target, DlkBackend *backend,
                 DlkBackend *fallback, GAsyncReadyCallback callback, gpointer user_data)
{
    Input *input = g_new0(Input, 1);

    input->target = dlk_target_ref(target);
    input->backend = backend;
    input->fallback = fallback;
    input->rule = dlk_rule_ref(lease->rule);
    input->mode = lease->mode;
    input->pid = lease->process ? lease->pid : 0;
    input->holder = dlk_holder_new_of_lease(lease, engine->host_id, engine->host_name);
    input->folder_watch = dlk_folder_watch_begin(engine->folder_watch);
    dlk_pool_run_async(engine->pool, &lock_job, input, dlk_rule_lane(lease->rule, target->disk),
                       target->disk->id, g_get_monotonic_time() + lease->rule->unreachable_after, callback,
                       user_data);
}

gboolean
dlk_lock_job_finish(DlkEngine *engine, GAsyncResult *result, DlkLocked *locked, GError **error)
{
    g_autofree DlkLocked *brought = dlk_pool_run_finish(engine->pool, result, error);

    if (!brought)
        return FALSE;
    *locked = *brought;
    return TRUE;
}

static gpointer
run_undo(gpointer data, GError **error)
{
    DlkHold *hold = data;

    /* The job's input keeps the last reference, so that the descriptor is closed in the worker too. */
    give_back(dlk_hold_ref(hold));
    return NULL;
}

static const DlkJob undo_job = {"give back", run_undo, (GDestroyNotify)dlk_hold_unref, NULL};

void
dlk_lock_job_undo(DlkEngine *engine, DlkHold *hold)
{
    const DlkDisk *disk = hold->target->disk;

    dlk_pool_run_async(engine->pool, &undo_job, hold, dlk_hold_lane(hold), disk->id, G_MAXINT64, NULL, NULL);
}

void
dlk_lock_job_drop_target(DlkEngine *engine, DlkTarget *target)
{
    dlk_pool_drop(engine->pool, target, (GDestroyNotify)dlk_target_unref, target->disk->lane);
}

void
dlk_lock_job_drop_hold(DlkEngine *engine, DlkHold *hold)
{
    dlk_pool_drop(engine->pool, hold, (GDestroyNotify)dlk_hold_unref, dlk_hold_lane(hold));
}
