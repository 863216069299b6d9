#include "core/change-job.h"

#include "core/holding.h"
#include "core/lock-job.h"

typedef struct {
    DlkChangeKind kind;
    DlkHold *hold;
    DlkRule *rule;
    DlkMode mode;
} Input;

typedef struct {
    DlkHold *hold;
    DlkMode before;
} Done;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_hold_unref(input->hold);
    dlk_rule_unref(input->rule);
    g_free(input);
}

static gpointer
run(gpointer data, GError **error)
{
    const Input *input = data;
    DlkBackend *backend = input->hold->backend;
    const DlkMode before = input->hold->mode;
    gboolean is_done = FALSE;

    switch (input->kind) {
    case DLK_CHANGE_CONVERT:
        is_done = dlk_backend_convert(backend, input->hold, input->mode, error);
        break;
    case DLK_CHANGE_SUSPEND:
        is_done = dlk_backend_release(backend, input->hold, error);
        break;
    case DLK_CHANGE_RESUME:
        is_done = dlk_backend_acquire(backend, input->hold, input->rule, error);
        break;
    }
    if (!is_done)
        return NULL;
    Done *done = g_new(Done, 1);
    *done = (Done){dlk_hold_ref(input->hold), before};
    return done;
}

static void
done_free(gpointer data)
{
    Done *done = data;

    dlk_hold_unref(done->hold);
    g_free(done);
}

/* The storage took so long that the caller was told no: a lock that it then grants belongs to nobody, and a
 * mode that it then grants is not the lease's. */
static void
give_back(gpointer data)
{
    const Done *done = data;

    dlk_backend_release(done->hold->backend, done->hold, NULL);
    done_free(data);
}

static void
convert_back(gpointer data)
{
    const Done *done = data;
    g_autoptr(GError) error = NULL;

    if (!dlk_backend_convert_back(done->hold->backend, done->hold, done->before, &error))
        g_message("%s", error->message);
    done_free(data);
}

void
dlk_change_job_run(DlkEngine *engine, DlkChangeKind kind, const DlkLease *lease, DlkMode mode,
                   gint64 deadline, GAsyncReadyCallback callback, gpointer user_data)
{
    static const DlkJob jobs[] = {
        [DLK_CHANGE_CONVERT] = {"convert", run, input_free, convert_back},
        [DLK_CHANGE_SUSPEND] = {"suspend", run, input_free, done_free},
        [DLK_CHANGE_RESUME] = {"resume", run, input_free, give_back},
    };
    Input *input = g_new0(Input, 1);

    input->kind = kind;
    input->hold = dlk_hold_ref(dlk_holding(lease)->hold);
    input->rule = dlk_rule_ref(lease->rule);
    input->mode = mode;
    dlk_pool_run_async(engine->pool, &jobs[kind], input, dlk_rule_lane(lease->rule, lease->disk),
                       lease->disk->id, deadline, callback, user_data);
}

gboolean
dlk_change_job_finish(DlkEngine *engine, GAsyncResult *result, GError **error)
{
    g_autofree Done *done = dlk_pool_run_finish(engine->pool, result, error);

    if (done)
        dlk_lock_job_drop_hold(engine, done->hold);
    return done != NULL;
}
