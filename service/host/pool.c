#include "host/pool.h"

#include "base/error.h"
#include "base/thread.h"
#include "host/pool-threads.h"

/* So soon it is tried again where the kernel gave us no thread. */
#define RETRY_US (100 * 1000)
/* So long a job without a deadline counts against the pool's size. */
#define PATIENCE_US (5 * G_USEC_PER_SEC)

typedef struct {
    GSource source;
    DlkPool *pool;
} PoolSource;

/* Main thread: the one place where a caller gets its answer. */
static void
answer(DlkPool *self, DlkPoolJob *job)
{
    dlk_timers_cancel(self->timers, &job->timer);
    g_queue_unlink(&self->pending, &job->pending);
    if (job->callback != NULL)
        job->callback(NULL, G_ASYNC_RESULT(job), job->user_data);
    g_object_unref(job);
}

static void retry(gpointer data);

void
dlk_pool_start_jobs_from_main(DlkPool *self)
{
    DlkPoolWoken woken = {.n = 0};

    pthread_mutex_lock(&self->mutex);
    self->no_thread = FALSE;
    dlk_pool_start_jobs(self, &woken);
    gboolean failed = self->no_thread;
    pthread_mutex_unlock(&self->mutex);
    dlk_pool_wake(&woken);
    if (failed && self->retry == NULL)
        self->retry = dlk_timers_add(self->timers, g_get_monotonic_time() + RETRY_US, retry, self);
}

static void
retry(gpointer data)
{
    DlkPool *self = data;
    self->retry = NULL;
    dlk_pool_start_jobs_from_main(self);
}

/* The finished job that has waited longest for its answer, or %NULL. */
static DlkPoolJob *
pop_done(DlkPool *self)
{
    pthread_mutex_lock(&self->mutex);
    GList *link = g_queue_pop_head_link(&self->done);
    pthread_mutex_unlock(&self->mutex);
    return link != NULL ? link->data : NULL;
}

/* No ready time: to set one takes the context's lock, which the loop may have, and wakes it even from itself.
 */
static gboolean
check(GSource *source)
{
    return g_atomic_int_get(&((PoolSource *)source)->pool->woken);
}

static gboolean
prepare(GSource *source, int *timeout)
{
    *timeout = -1;
    return check(source);
}

static gboolean
dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    DlkPool *self = ((PoolSource *)source)->pool;

    pthread_mutex_lock(&self->mutex);
    GQueue done = self->done;
    g_queue_init(&self->done);
    g_atomic_int_set(&self->woken, FALSE);
    gboolean no_thread = self->no_thread;
    pthread_mutex_unlock(&self->mutex);

    if (no_thread)
        dlk_pool_start_jobs_from_main(self);
    for (GList *link = g_queue_pop_head_link(&done); link != NULL; link = g_queue_pop_head_link(&done))
        answer(self, link->data);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.prepare = prepare, .check = check, .dispatch = dispatch};

DlkPool *
dlk_pool_new(GMainContext *context)
{
    DlkPool *self = g_new0(DlkPool, 1);
    self->references = 1;
    pthread_mutex_init(&self->mutex, NULL);
    dlk_cond_init(&self->changed);
    self->queue = dlk_pool_queue_new();
    self->timers = dlk_timers_new(context);
    self->context = g_main_context_ref(context != NULL ? context : g_main_context_default());
    self->source = g_source_new(&source_funcs, sizeof(PoolSource));
    ((PoolSource *)self->source)->pool = self;
    g_source_set_static_name(self->source, "disklock pool");
    g_source_attach(self->source, context);
    return self;
}

/* Nobody waits for @job any longer. FALSE: it is done, and its answer is under way. */
static gboolean
give_up(DlkPool *self, DlkPoolJob *job)
{
    gboolean given_up = TRUE;
    pthread_mutex_lock(&self->mutex);
    if (job->step == DLK_POOL_QUEUED) {
        dlk_pool_queue_expire(self->queue, job);
    } else if (job->step == DLK_POOL_RUNNING) {
        job->late = TRUE;
        self->running--;
        self->stuck++;
    } else {
        given_up = FALSE;
    }
    pthread_mutex_unlock(&self->mutex);
    return given_up;
}

static void
deadline_passed(gpointer data)
{
    DlkPoolJob *job = data;
    DlkPool *self = job->pool;
    job->timer = NULL;
    if (!give_up(self, job))
        return;
    dlk_pool_start_jobs_from_main(self);
    g_set_error(&job->error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
                "the storage did not answer within %.3g s (%s)",
                (double)(job->deadline - job->asked_at) / G_USEC_PER_SEC, job->job.name);
    answer(self, job);
}

/* A job without a deadline has been at it for long: its thread is stuck, though its answer is still waited
 * for. */
static void
patience_over(gpointer data)
{
    DlkPoolJob *job = data;
    DlkPool *self = job->pool;
    job->timer = NULL;
    pthread_mutex_lock(&self->mutex);
    if (job->step == DLK_POOL_RUNNING) {
        job->patient = TRUE;
        self->running--;
        self->stuck++;
    } else if (job->step == DLK_POOL_QUEUED) {
        job->timer = dlk_timers_add(self->timers, g_get_monotonic_time() + PATIENCE_US, patience_over, job);
    }
    pthread_mutex_unlock(&self->mutex);
    dlk_pool_start_jobs_from_main(self);
}

void
dlk_pool_submit(DlkPool *self, const DlkJob *job, gpointer input, const char *lane, const char *disk,
                gint64 deadline, GAsyncReadyCallback callback, gpointer user_data)
{
    DlkPoolJob *queued = dlk_pool_job_new(job, input, callback, user_data);
    queued->pool = self;
    queued->asked_at = g_get_monotonic_time();
    queued->deadline = deadline;
    g_queue_push_tail_link(&self->pending, &queued->pending);
    queued->timer = deadline != G_MAXINT64
                        ? dlk_timers_add(self->timers, deadline, deadline_passed, queued)
                        : dlk_timers_add(self->timers, queued->asked_at + PATIENCE_US, patience_over, queued);

    pthread_mutex_lock(&self->mutex);
    dlk_pool_queue_add(self->queue, g_object_ref(queued), lane, disk);
    pthread_mutex_unlock(&self->mutex);
}

void
dlk_pool_run_async(DlkPool *self, const DlkJob *job, gpointer input, const char *lane, const char *disk,
                   gint64 deadline, GAsyncReadyCallback callback, gpointer user_data)
{
    dlk_pool_submit(self, job, input, lane, disk, deadline, callback, user_data);
    dlk_pool_start_jobs_from_main(self);
    dlk_pool_queue_drops(self);
}

gpointer
dlk_pool_run_finish(DlkPool *self, GAsyncResult *result, GError **error)
{
    DlkPoolJob *job = DLK_POOL_JOB(result);
    if (job->error != NULL)
        g_propagate_error(error, g_steal_pointer(&job->error));
    return g_steal_pointer(&job->result);
}

gboolean
dlk_pool_has_disk(DlkPool *self, const char *disk)
{
    pthread_mutex_lock(&self->mutex);
    gboolean has = dlk_pool_queue_has_disk(self->queue, disk);
    pthread_mutex_unlock(&self->mutex);
    return has;
}

static guint
read_count(DlkPool *self, const guint *count)
{
    pthread_mutex_lock(&self->mutex);
    guint value = *count;
    pthread_mutex_unlock(&self->mutex);
    return value;
}

guint
dlk_pool_running(DlkPool *self)
{
    return read_count(self, &self->running);
}

guint
dlk_pool_stuck(DlkPool *self)
{
    return read_count(self, &self->stuck);
}

/* Answers what has not begun: the pool will not run it any more. A callback may change the list, so it is
 * begun again. */
static void
refuse_queued(DlkPool *self)
{
    dlk_pool_queue_drops(self);
    for (GList *link = self->pending.head; link != NULL;) {
        DlkPoolJob *job = link->data;
        link = link->next;
        if (read_count(self, &job->step) != DLK_POOL_QUEUED || !give_up(self, job))
            continue;
        g_set_error_literal(&job->error, DLK_ERROR, DLK_ERROR_UNREACHABLE, "the service is ending");
        answer(self, job);
        dlk_pool_queue_drops(self);
        link = self->pending.head;
    }
    dlk_pool_start_jobs_from_main(self);
}

/* Waits until a worker has done something or the first deadline has passed, and gives up what is due. */
static void
wait_for_running(DlkPool *self)
{
    DlkPoolJob *first = self->pending.head->data;
    for (GList *link = self->pending.head; link != NULL; link = link->next) {
        DlkPoolJob *job = link->data;
        if (job->deadline < first->deadline)
            first = job;
    }
    pthread_mutex_lock(&self->mutex);
    gboolean due =
        self->done.length == 0 && !dlk_cond_wait_until(&self->changed, &self->mutex, first->deadline);
    pthread_mutex_unlock(&self->mutex);
    if (!due)
        return;
    dlk_timers_cancel(self->timers, &first->timer);
    deadline_passed(first);
}

void
dlk_pool_free(DlkPool *self)
{
    pthread_mutex_lock(&self->mutex);
    self->closing = TRUE;
    pthread_mutex_unlock(&self->mutex);

    refuse_queued(self);
    while (self->pending.length > 0) {
        for (DlkPoolJob *job = pop_done(self); job != NULL; job = pop_done(self))
            answer(self, job);
        refuse_queued(self);
        if (self->pending.length > 0)
            wait_for_running(self);
    }
    dlk_pool_end_threads(self);
    g_source_destroy(self->source);
    dlk_timers_free(self->timers);
    dlk_pool_unref(self);
}
