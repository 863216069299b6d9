#include "core/check-job.h"

#include "base/error.h"

#define NO_ANSWER "no answer"
/* In less nobody answers for those behind another. */
#define SHORTEST_US (20 * G_TIME_SPAN_MILLISECOND)

/* Shared with the worker, who may still be at it when the main thread has given up waiting. */
typedef struct {
    gatomicrefcount references;
    GPtrArray *holds;
    GMutex mutex;     /* guards what follows */
    guint end;        /* the worker goes no further: another has what is behind */
    DlkHold *current; /* that the worker is asking about; while it is, @holds stays */
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
    DlkChecked checked = {0};

    if (g_atomic_int_get(&hold->check) == DLK_HOLD_OVERDUE)
        return (DlkChecked){DLK_CHECK_UNKNOWN, g_strdup(NO_ANSWER)};
    g_atomic_int_set(&hold->check, DLK_HOLD_BEING_CHECKED);
    checked.answer = dlk_backend_check(hold->backend, hold, &checked.reason);
    g_atomic_int_set(&hold->check, DLK_HOLD_NOT_CHECKED);
    return checked;
}

/* Which hold comes next, for the worker, after what it found out about the one before, if any; %NULL: no
 * more. */
static DlkHold *
go_on(Batch *batch, const DlkChecked *checked)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&batch->mutex);

    if (checked)
        g_array_append_vals(batch->checked, checked, 1);
    const guint next = batch->checked->len;
    batch->current = next < batch->end ? g_ptr_array_index(batch->holds, next) : NULL;
    return batch->current;
}

static gpointer
run(gpointer data, GError **error)
{
    Batch *batch = data;

    for (DlkHold *hold = go_on(batch, NULL); hold;) {
        const DlkChecked checked = ask(hold);
        hold = go_on(batch, &checked);
    }
    return NULL;
}

static const DlkJob check_job = {"check", run, input_free, NULL};

/* Takes @holds. */
static Batch *
batch_new(GPtrArray *holds)
{
    Batch *batch = g_new0(Batch, 1);

    g_atomic_ref_count_init(&batch->references);
    g_mutex_init(&batch->mutex);
    batch->holds = holds;
    batch->end = holds->len;
    batch->checked = g_array_sized_new(FALSE, FALSE, sizeof(DlkChecked), holds->len);
    g_array_set_clear_func(batch->checked, checked_clear);
    return batch;
}

/* ---- the question, in the main thread ---- */

typedef struct {
    DlkEngine *engine;
    Batch *batches[2];                  /* the second: what is behind one that may hang, or %NULL */
    guint jobs;                         /* that have not come back */
    gint64 unreachable_after, deadline; /* µs; monotonic µs */
    DlkTimer *timer;
} Question;

static void
question_free(gpointer data)
{
    Question *question = data;

    for (guint i = 0; i < G_N_ELEMENTS(question->batches); i++)
        g_clear_pointer(&question->batches[i], batch_unref);
    g_free(question);
}

static char *
no_answer_in_time(const Question *question)
{
    return g_strdup_printf("the storage did not answer within %.3g s",
                           (double)question->unreachable_after / G_USEC_PER_SEC);
}

/* Where the storage did not answer in time, that is known of all that had no answer, asked after or not. */
static void
collect(const Question *question, Batch *batch, GArray *answers)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&batch->mutex);

    if (batch->current)
        g_atomic_int_compare_and_exchange(&batch->current->check, DLK_HOLD_BEING_CHECKED, DLK_HOLD_OVERDUE);
    for (guint i = 0; i < batch->end; i++) {
        DlkChecked checked = {DLK_CHECK_UNKNOWN, NULL};

        if (i < batch->checked->len) {
            checked = g_array_index(batch->checked, DlkChecked, i);
            checked.reason = g_strdup(checked.reason);
        } else {
            checked.reason = no_answer_in_time(question);
        }
        g_array_append_val(answers, checked);
    }
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Question *question = g_task_get_task_data(task);

    dlk_pool_run_finish(question->engine->pool, result, NULL);
    if (--question->jobs > 0)
        return;
    dlk_timers_cancel(question->engine->timers, &question->timer);
    g_autoptr(GArray) answers = g_array_new(FALSE, TRUE, sizeof(DlkChecked));
    g_array_set_clear_func(answers, checked_clear);
    for (guint i = 0; i < G_N_ELEMENTS(question->batches) && question->batches[i]; i++)
        collect(question, question->batches[i], answers);
    g_task_return_pointer(task, g_steal_pointer(&answers), (GDestroyNotify)g_array_unref);
}

/* Takes @holds. */
static void
ask_by_job(GTask *task, guint index, GPtrArray *holds)
{
    Question *question = g_task_get_task_data(task);
    Batch *batch = batch_new(holds);

    question->batches[index] = batch_ref(batch);
    question->jobs++;
    dlk_pool_run_async(question->engine->pool, &check_job, batch, dlk_hold_lane(g_ptr_array_index(holds, 0)),
                       NULL, question->deadline, on_done, g_object_ref(task));
}

/* What is behind the hold that the worker is at, away from it; %NULL: nothing, or the job had no turn yet. */
static GPtrArray *
take_rest(Batch *batch, gboolean *started)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&batch->mutex);
    const guint first = batch->checked->len + 1;

    *started = batch->current || batch->checked->len > 0;
    if (!batch->current || first >= batch->end)
        return NULL;
    GPtrArray *rest = g_ptr_array_new_full(batch->end - first, (GDestroyNotify)dlk_hold_unref);
    for (guint i = first; i < batch->end; i++)
        g_ptr_array_add(rest, dlk_hold_ref(g_ptr_array_index(batch->holds, i)));
    batch->end = first;
    return rest;
}

static void ask_after_rest(gpointer user_data);

/* In the middle of the time that is left. */
static void
ask_after_rest_later(GTask *task)
{
    Question *question = g_task_get_task_data(task);
    const gint64 now = g_get_monotonic_time(), left = question->deadline - now;

    if (left > SHORTEST_US)
        question->timer = dlk_timers_add(question->engine->timers, now + left / 2, ask_after_rest, task);
}

/*
 * One that hangs is not to hide what becomes of those behind it: half of the time is theirs. If they hang
 * too, the whole filesystem does, and each of them is told of in time.
 */
static void
ask_after_rest(gpointer user_data)
{
    GTask *task = user_data;
    Question *question = g_task_get_task_data(task);
    gboolean started;
    GPtrArray *rest = take_rest(question->batches[0], &started);

    question->timer = NULL;
    if (rest)
        ask_by_job(task, 1, rest);
    else if (!started)
        ask_after_rest_later(task);
}

void
dlk_check_job_run(DlkEngine *engine, GPtrArray *holds, gint64 unreachable_after, GAsyncReadyCallback callback,
                  gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(engine, NULL, callback, user_data);
    Question *question = g_new0(Question, 1);
    const gint64 now = g_get_monotonic_time();

    question->engine = engine;
    question->unreachable_after = unreachable_after;
    question->deadline = now + unreachable_after;
    g_task_set_task_data(task, question, question_free);
    if (holds->len > 1)
        ask_after_rest_later(task);
    ask_by_job(task, 0, holds);
}

GArray *
dlk_check_job_finish(DlkEngine *engine, GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}
