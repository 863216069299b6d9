#include "backend/backends.h"
#include "base/error.h"
#include "base/text.h"
#include "core/authority.h"
#include "core/lock-job.h"

/* Removes the hold of another host: path → disk → polkit's yes to that → a worker → the journal. */
typedef struct {
    DlkFencing what; /* its strings are ours */
    DlkTarget *target;
    DlkRule *rule;
} Fence;

static void
fence_free(gpointer data)
{
    Fence *fence = data;

    g_assert(fence->target == NULL);
    g_clear_pointer(&fence->rule, dlk_rule_unref);
    dlk_caller_unref(fence->what.caller);
    g_free((char *)fence->what.path);
    g_free((char *)fence->what.host);
    g_free((char *)fence->what.reason);
    g_free(fence);
}

/* ---- the worker ---- */

typedef struct {
    DlkTarget *target;
    DlkRule *rule;
    GPtrArray *backends; /* of DlkBackend, borrowed: by whichever of them the host may hold the disk */
    char *host;
} Input;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_target_unref(input->target);
    dlk_rule_unref(input->rule);
    g_ptr_array_unref(input->backends);
    g_free(input->host);
    g_free(input);
}

/* One that cannot lock such a disk holds nothing of it either. */
static gboolean
may_hold(DlkBackend *backend, const Input *input, GError **error)
{
    g_autoptr(GError) problem = NULL;

    if (dlk_backend_probe(backend, input->target, input->rule, &problem))
        return TRUE;
    if (!g_error_matches(problem, DLK_ERROR, DLK_ERROR_UNSUPPORTED))
        g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

/* All are tried; the first failure is told, and what was removed all the same. */
static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    g_autoptr(GError) failure = NULL;
    guint removed = 0, asked = 0;

    for (guint i = 0; i < input->backends->len; i++) {
        DlkBackend *backend = g_ptr_array_index(input->backends, i);
        GError **problem = failure ? NULL : &failure;
        guint count = 0;

        if (!may_hold(backend, input, problem))
            continue;
        asked++;
        (void)dlk_backend_fence(backend, input->target, input->rule, input->host, &count, problem);
        removed += count;
    }
    if (asked == 0 && !failure) {
        g_autofree char *label = dlk_text_printable(dlk_disk_label(input->target->disk), 0);

        g_set_error(
            &failure, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
            "%s: by the policy's rule \"%s\" it is locked on this host alone, and another host can hold "
            "nothing of it that is known here",
            label, input->rule->name);
    }
    if (failure && removed > 0)
        g_prefix_error(&failure, "%u removed, and not all: ", removed);
    if (failure)
        g_propagate_error(error, g_steal_pointer(&failure));
    return GUINT_TO_POINTER(removed);
}

static const DlkJob fence_job = {"fence", run, input_free, NULL};

static void
on_fenced(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Fence *fence = g_task_get_task_data(task);
    GError *error = NULL;
    const guint removed = GPOINTER_TO_UINT(dlk_pool_run_finish(engine->pool, result, &error));

    if (g_error_matches(error, DLK_ERROR, DLK_ERROR_UNREACHABLE))
        g_prefix_error(&error, "%s: whether host %s is fenced is not known: ", fence->what.path,
                       fence->what.host);
    dlk_journal_fenced(&fence->what, fence->target->disk->id, removed, error);
    dlk_lock_job_drop_target(engine, g_steal_pointer(&fence->target));
    if (error)
        g_task_return_error(task, error);
    else
        g_task_return_int(task, removed);
}

static void
submit(DlkEngine *engine, GTask *task)
{
    Fence *fence = g_task_get_task_data(task);
    const DlkDisk *disk = fence->target->disk;
    Input *input = g_new0(Input, 1);

    input->target = dlk_target_ref(fence->target);
    input->rule = dlk_rule_ref(fence->rule);
    input->host = g_strdup(fence->what.host);
    input->backends = g_ptr_array_new();
    for (guint i = 0; fence->rule->backends[i]; i++) {
        DlkBackend *backend = dlk_backends_get(fence->rule->backends[i]);

        if (backend && DLK_BACKEND_GET_CLASS(backend)->reaches_other_hosts)
            g_ptr_array_add(input->backends, backend);
    }
    dlk_pool_run_async(engine->pool, &fence_job, input, dlk_rule_lane(fence->rule, disk), disk->id,
                       g_get_monotonic_time() + fence->rule->unreachable_after, on_fenced, task);
}

/* ---- may it be? ---- */

static void
fail(DlkEngine *engine, GTask *task, GError *error)
{
    Fence *fence = g_task_get_task_data(task);

    if (fence->target)
        dlk_lock_job_drop_target(engine, g_steal_pointer(&fence->target));
    g_task_return_error(task, error);
    g_object_unref(task);
}

/* What a lease of this host holds is released or broken, and nobody loses it unawares. */
static gboolean
is_held_here(DlkEngine *engine, const Fence *fence)
{
    g_autoptr(GPtrArray) leases = dlk_table_overlapping(engine->table, fence->target->disk);

    for (guint i = 0; i < leases->len; i++)
        if (((DlkLease *)g_ptr_array_index(leases, i))->phase != DLK_PHASE_BROKEN)
            return TRUE;
    return FALSE;
}

static gboolean
may_be_fenced(DlkEngine *engine, const Fence *fence, GError **error)
{
    if (fence->rule->deny)
        g_set_error(error, DLK_ERROR, DLK_ERROR_POLICY_DENIED,
                    "%s: the policy's rule \"%s\" denies this disk", fence->what.path, fence->rule->name);
    else if (g_str_equal(fence->what.host, engine->host_id) && is_held_here(engine, fence))
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY,
                    "%s is held by a lease of this very host, which is %s: release it, or break it",
                    fence->what.path, fence->what.host);
    else
        return TRUE;
    return FALSE;
}

static void
on_disk_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    GTask *task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Fence *fence = g_task_get_task_data(task);
    GError *error = NULL;

    if (!dlk_authority_ask_finish(engine, result, &fence->what.prompted, &error)) {
        g_prefix_error(&error, "%s: ", fence->what.path);
        fail(engine, task, error);
    } else if (!may_be_fenced(engine, fence, &error)) {
        fail(engine, task, error);
    } else {
        submit(engine, task);
    }
}

/* polkit said yes to a path; where that leads is known only now. */
static void
authorise_disk(DlkEngine *engine, GTask *task)
{
    Fence *fence = g_task_get_task_data(task);
    DlkFencing *what = &fence->what;
    const DlkDisk *disk = fence->target->disk;
    const gboolean prompts = dlk_authority_prompts(disk, what->path, what->interactive, &what->prompted);

    dlk_authority_ask_async(engine, what->caller, "fence",
                            dlk_authority_details("path", dlk_disk_label(disk), "host", what->host, "disk",
                                                  disk->id, "backend", fence->rule->backends[0], NULL),
                            prompts, on_disk_authorised, task);
}

static void
on_identified(GObject *source, GAsyncResult *result, gpointer user_data)
{
    GTask *task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Fence *fence = g_task_get_task_data(task);
    GError *error = NULL;

    fence->target = dlk_identification_finish(result, &error);
    if (!fence->target) {
        fail(engine, task, error);
        return;
    }
    fence->rule = dlk_rule_ref(dlk_policy_match(engine->policy, fence->target->disk));
    authorise_disk(engine, task);
}

void
dlk_engine_fence_async(DlkEngine *self, const DlkFencing *fencing, GAsyncReadyCallback callback,
                       gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    Fence *fence = g_new0(Fence, 1);

    fence->what = *fencing;
    fence->what.caller = dlk_caller_ref(fencing->caller);
    fence->what.path = g_strdup(fencing->path);
    fence->what.host = g_strdup(fencing->host);
    fence->what.reason = g_strdup(fencing->reason);
    g_task_set_task_data(task, fence, fence_free);
    dlk_identification_start(self, fencing->path, -1, DLK_MODE_READ_ONLY, 0, "", on_identified, task);
}

gboolean
dlk_engine_fence_finish(DlkEngine *self, GAsyncResult *result, guint *removed, GError **error)
{
    const gssize count = g_task_propagate_int(G_TASK(result), error);

    *removed = count < 0 ? 0 : (guint)count;
    return count >= 0;
}
