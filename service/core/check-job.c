#include "core/check-job.h"

#include "base/error.h"

#define NO_ANSWER "no answer"

/* Shared with the worker, who may still be at it when the main thread has given up waiting. */
typedef struct {
    gatomicrefcount references;
    GPtrArray *holds;
    GMutex mutex;
    gboolean started;
    DlkHold *current; /* that the worker is asking about */
    GArray *checked;  /* of DlkChecked */
} Batch;

static void
checked_clear(gpointer data)
{
    DlkChecked *checked = data;

    g_free(checked->reason);
}

static Batch *
batch_ref(Batch *batch)
{
    g_atomic_ref_count_inc(&batch->references);
    return batch;
}

static void
batch_unref(gpointer data)
{
    Batch *batch = data;

    if (!g_atomic_ref_count_dec(&batch->references))
        return;
    g_clear_pointer(&batch->holds, g_ptr_array_unref);
    g_array_unref(batch->checked);
    g_mutex_clear(&batch->mutex);
    g_free(batch);
}

/* Only the worker drops the holds: closing one may block. */
static void
input_free(gpointer data)
{
    Batch *batch = data;

    g_clear_pointer(&batch->holds, g_ptr_array_unref);
    batch_unref(batch);
}

/* One that hangs is not asked about by a second worker, and a third: its filesystem has only a few. */
static DlkChecked
ask(DlkHold *hold)
{
    DlkChecked checked = {.answered = TRUE};

    if (g_atomic_int_get(&hold->check) == DLK_HOLD_OVERDUE)
        return (DlkChecked){TRUE, DLK_CHECK_UNKNOWN, g_strdup(NO_ANSWER)};
    g_atomic_int_set(&hold->check, DLK_HOLD_BEING_CHECKED);
    checked.answer = dlk_backend_check(hold->backend, hold, &checked.reason);
    g_atomic_int_set(&hold->check, DLK_HOLD_NOT_CHECKED);
    return checked;
}

/* The worker goes on to @next (%NULL: there is none), with what it found out about the one before, if any. */
static void
go_on(Batch *batch, const DlkChecked *checked, DlkHold *next)
{
    g_mutex_lock(&batch->mutex);
    batch->started = TRUE;
    if (checked)
        g_array_append_vals(batch->checked, checked, 1);
    batch->current = next;
    g_mutex_unlock(&batch->mutex);
}

static gpointer
run(gpointer data, GError **error)
{
    Batch *batch = data;
    DlkChecked checked = {0};

    for (guint i = 0; i < batch->holds->len; i++) {
        DlkHold *hold = g_ptr_array_index(batch->holds, i);

        go_on(batch, i > 0 ? &checked : NULL, hold);
        checked = ask(hold);
    }
    go_on(batch, &checked, NULL);
    return NULL;
}

static const DlkJob check_job = {"check", run, input_free, NULL};

typedef struct {
    Batch *batch;
    guint n_holds;
} Question;

static void
question_free(gpointer data)
{
    Question *question = data;

    batch_unref(question->batch);
    g_free(question);
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Question *question = g_task_get_task_data(task);
    g_autoptr(GArray) answers = g_array_sized_new(FALSE, TRUE, sizeof(DlkChecked), question->n_holds);
    Batch *batch = question->batch;
    g_autoptr(GError) error = NULL;

    dlk_pool_run_finish(engine->pool, result, &error);
    g_array_set_clear_func(answers, checked_clear);
    g_mutex_lock(&batch->mutex);
    if (batch->current)
        g_atomic_int_compare_and_exchange(&batch->current->check, DLK_HOLD_BEING_CHECKED, DLK_HOLD_OVERDUE);
    for (guint i = 0; i < question->n_holds; i++) {
        DlkChecked checked = {0};

        if (i < batch->checked->len) {
            checked = g_array_index(batch->checked, DlkChecked, i);
            checked.reason = g_strdup(checked.reason);
        } else if (i == batch->checked->len || !batch->started) {
            /* The one that it hangs on; or all, where the whole filesystem hangs and the job had no turn. */
            checked = (DlkChecked){TRUE, DLK_CHECK_UNKNOWN, g_strdup(error ? error->message : NO_ANSWER)};
        }
        g_array_append_val(answers, checked);
    }
    g_mutex_unlock(&batch->mutex);
    g_task_return_pointer(task, g_steal_pointer(&answers), (GDestroyNotify)g_array_unref);
}

void
dlk_check_job_run(DlkEngine *engine, GPtrArray *holds, gint64 unreachable_after, GAsyncReadyCallback callback,
                  gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(engine, NULL, callback, user_data);
    const DlkHold *first = g_ptr_array_index(holds, 0);
    Batch *batch = g_new0(Batch, 1);
    Question *question = g_new0(Question, 1);

    g_atomic_ref_count_init(&batch->references);
    g_mutex_init(&batch->mutex);
    batch->holds = holds;
    batch->checked = g_array_sized_new(FALSE, FALSE, sizeof(DlkChecked), holds->len);
    g_array_set_clear_func(batch->checked, checked_clear);
    question->batch = batch_ref(batch);
    question->n_holds = holds->len;
    g_task_set_task_data(task, question, question_free);
    dlk_pool_run_async(engine->pool, &check_job, batch, dlk_hold_lane(first), NULL,
                       g_get_monotonic_time() + unreachable_after, on_done, g_object_ref(task));
}

GArray *
dlk_check_job_finish(DlkEngine *engine, GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}
