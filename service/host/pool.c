#include "host/pool.h"

#include "base/error.h"
#include "base/thread.h"
#include "host/pool-job.h"
#include "host/pool-queue.h"

#include <pthread.h>

/* A thread that nobody needed for so long ends. */
#define IDLE_SECONDS 10
/* So soon it is tried again where the kernel gave us no thread. */
#define RETRY_US (100 * 1000)
/* So long the end of the pool waits for what expired jobs left to be freed. */
#define SWEEP_US (2 * G_USEC_PER_SEC)
/* So long a job without a deadline counts against the pool's size. */
#define PATIENCE_US (5 * G_USEC_PER_SEC)

/*
 * One mutex guards everything that workers see. It and the conditions are pthread's, not GLib's, because the
 * threads are too (a blocked signal mask, a failure to start that is no abort), and because thread checkers
 * understand them.
 */
struct _DlkPool {
    gint references; /* the owner's, and one of each thread: a stuck one may outlive the owner */
    GSource *source; /* woken when the first job is put on `done` */
    /* Main thread only. */
    DlkTimers *timers;
    DlkTimer *retry;
    GQueue pending; /* of DlkPoolJob: not answered yet */
    /* Under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* only while the pool is being closed: a thread has done something */
    DlkPoolQueue *queue;
    GQueue done;        /* of DlkPoolJob: to be answered */
    GQueue idle;        /* of Worker, the one that was busy last first: its caches are warm */
    guint threads;      /* all that live */
    guint running;      /* jobs in time */
    guint stuck;        /* jobs past their deadline */
    guint sweeping;     /* freeing what expired jobs left */
    gboolean no_thread; /* the kernel refused one */
    gboolean closing;
};

typedef struct {
    GSource source;
    DlkPool *pool;
} PoolSource;

typedef struct {
    DlkPool *pool;
    DlkPoolJob *job; /* what to do next, given by whoever woke it */
    pthread_cond_t wake;
    GList idle; /* link in the pool's list */
} Worker;

static void
pool_unref(DlkPool *self)
{
    if (!g_atomic_int_dec_and_test(&self->references))
        return;
    g_source_unref(self->source);
    dlk_pool_queue_free(self->queue);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->changed);
    g_free(self);
}

/* Past DLK_POOL_STUCK_THREADS a stuck thread counts against the pool's size like any other: the total is
 * bounded. */
static gboolean
may_start(const DlkPool *self)
{
    return dlk_pool_queue_is_ready(self->queue) && self->running < DLK_POOL_THREADS &&
           self->running + self->sweeping + self->stuck < DLK_POOL_THREADS + DLK_POOL_STUCK_THREADS;
}

static DlkPoolJob *
start_next(DlkPool *self)
{
    if (!may_start(self))
        return NULL;
    DlkPoolJob *job = dlk_pool_queue_take(self->queue);
    *(job->expired ? &self->sweeping : &self->running) += 1;
    return job;
}

static void *worker_main(void *data);

static void
worker_free(Worker *worker)
{
    pthread_cond_destroy(&worker->wake);
    g_free(worker);
}

static Worker *
new_worker(DlkPool *self)
{
    Worker *worker = g_new0(Worker, 1);
    worker->pool = self;
    worker->idle.data = worker;
    dlk_cond_init(&worker->wake);
    if (!dlk_thread_start(worker_main, worker)) {
        worker_free(worker);
        return NULL;
    }
    self->threads++;
    g_atomic_int_inc(&self->references);
    return worker;
}

/* Mutex held: gives every job that may run to a thread that has nothing to do, or to a new one. */
static void
start_jobs(DlkPool *self)
{
    while (may_start(self)) {
        GList *link = g_queue_pop_head_link(&self->idle);
        Worker *worker = link != NULL ? link->data : new_worker(self);
        if (worker == NULL) {
            self->no_thread = TRUE;
            return;
        }
        worker->job = start_next(self);
        pthread_cond_signal(&worker->wake);
    }
}

/* Mutex held, given up meanwhile. FALSE: the thread is to end. */
static gboolean
wait_for_job(Worker *worker)
{
    DlkPool *self = worker->pool;
    if (self->closing || self->idle.length + self->running >= DLK_POOL_THREADS)
        return FALSE;

    gint64 until = g_get_monotonic_time() + IDLE_SECONDS * G_USEC_PER_SEC;
    g_queue_push_head_link(&self->idle, &worker->idle);
    while (worker->job == NULL && !self->closing && dlk_cond_wait_until(&worker->wake, &self->mutex, until))
        ;
    if (worker->job != NULL)
        return TRUE;
    g_queue_unlink(&self->idle, &worker->idle);
    return FALSE;
}

static void
free_late(const DlkPoolJob *job, gpointer result, GError *error)
{
    if (result != NULL && job->job.free_result != NULL)
        job->job.free_result(result);
    g_clear_error(&error);
}

/* Mutex held, given up meanwhile where the answer came too late. Returns whether the main loop has to be
 * woken. */
static gboolean
finish(DlkPool *self, DlkPoolJob *job, gpointer result, GError *error)
{
    if (job->late) {
        pthread_mutex_unlock(&self->mutex);
        free_late(job, result, error);
        pthread_mutex_lock(&self->mutex);
        self->stuck--;
        dlk_pool_queue_release(self->queue, job);
        g_object_unref(job);
        return FALSE;
    }
    *(job->patient ? &self->stuck : &self->running) -= 1;
    dlk_pool_queue_release(self->queue, job);
    job->result = result;
    job->error = error;
    job->step = DLK_POOL_DONE;
    g_queue_push_tail_link(&self->done, &job->queue);
    g_object_unref(job);
    return self->done.length == 1;
}

/* Mutex held, given up meanwhile: only the input of an expired job is left to free. */
static void
sweep(DlkPool *self, DlkPoolJob *job)
{
    pthread_mutex_unlock(&self->mutex);
    if (job->job.free_input != NULL)
        job->job.free_input(job->input);
    pthread_mutex_lock(&self->mutex);
    self->sweeping--;
    dlk_pool_queue_release(self->queue, job);
    g_object_unref(job);
}

/* Mutex held, given up meanwhile. */
static gboolean
run(DlkPool *self, DlkPoolJob *job)
{
    GError *error = NULL;
    pthread_mutex_unlock(&self->mutex);
    gpointer result = job->job.run(job->input, &error);
    if (job->job.free_input != NULL)
        job->job.free_input(job->input);
    pthread_mutex_lock(&self->mutex);
    return finish(self, job, result, error);
}

static void *
worker_main(void *data)
{
    Worker *worker = data;
    DlkPool *self = worker->pool;
    gboolean wake = FALSE;

    pthread_mutex_lock(&self->mutex);
    while (worker->job != NULL || wait_for_job(worker)) {
        DlkPoolJob *job = g_steal_pointer(&worker->job);
        if (job->expired)
            sweep(self, job);
        else
            wake = run(self, job);
        worker->job = start_next(self);
        start_jobs(self);
        if (self->closing)
            pthread_cond_signal(&self->changed);
        if (self->closing || (!wake && !self->no_thread))
            continue;
        wake = FALSE;
        pthread_mutex_unlock(&self->mutex);
        g_source_set_ready_time(self->source, 0);
        pthread_mutex_lock(&self->mutex);
    }
    self->threads--;
    if (self->closing)
        pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    worker_free(worker);
    pool_unref(self);
    return NULL;
}

/* Main thread: the one place where a caller gets its answer. */
static void
answer(DlkPool *self, DlkPoolJob *job)
{
    dlk_timers_cancel(self->timers, &job->timer);
    g_queue_unlink(&self->pending, &job->pending);
    job->callback(NULL, G_ASYNC_RESULT(job), job->user_data);
    g_object_unref(job);
}

static void retry(gpointer data);

static void
start_jobs_from_main(DlkPool *self)
{
    pthread_mutex_lock(&self->mutex);
    self->no_thread = FALSE;
    start_jobs(self);
    gboolean failed = self->no_thread;
    pthread_mutex_unlock(&self->mutex);
    if (failed && self->retry == NULL)
        self->retry = dlk_timers_add(self->timers, g_get_monotonic_time() + RETRY_US, retry, self);
}

static void
retry(gpointer data)
{
    DlkPool *self = data;
    self->retry = NULL;
    start_jobs_from_main(self);
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

static gboolean
dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    DlkPool *self = ((PoolSource *)source)->pool;
    g_source_set_ready_time(source, -1);

    pthread_mutex_lock(&self->mutex);
    GQueue done = self->done;
    g_queue_init(&self->done);
    gboolean no_thread = self->no_thread;
    pthread_mutex_unlock(&self->mutex);

    if (no_thread)
        start_jobs_from_main(self);
    for (GList *link = g_queue_pop_head_link(&done); link != NULL; link = g_queue_pop_head_link(&done))
        answer(self, link->data);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.dispatch = dispatch};

DlkPool *
dlk_pool_new(GMainContext *context)
{
    DlkPool *self = g_new0(DlkPool, 1);
    self->references = 1;
    pthread_mutex_init(&self->mutex, NULL);
    dlk_cond_init(&self->changed);
    self->queue = dlk_pool_queue_new();
    self->timers = dlk_timers_new(context);
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
    start_jobs_from_main(self);
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
    start_jobs_from_main(self);
}

void
dlk_pool_run_async(DlkPool *self, const DlkJob *job, gpointer input, const char *lane, const char *disk,
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
    start_jobs_from_main(self);
}

gpointer
dlk_pool_run_finish(DlkPool *self, GAsyncResult *result, GError **error)
{
    DlkPoolJob *job = DLK_POOL_JOB(result);
    if (job->error != NULL)
        g_propagate_error(error, g_steal_pointer(&job->error));
    return g_steal_pointer(&job->result);
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
    for (GList *link = self->pending.head; link != NULL;) {
        DlkPoolJob *job = link->data;
        link = link->next;
        if (read_count(self, &job->step) != DLK_POOL_QUEUED || !give_up(self, job))
            continue;
        g_set_error_literal(&job->error, DLK_ERROR, DLK_ERROR_UNREACHABLE, "the service is ending");
        answer(self, job);
        link = self->pending.head;
    }
    start_jobs_from_main(self);
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

static void
end_threads(DlkPool *self)
{
    gint64 until = g_get_monotonic_time() + SWEEP_US;
    pthread_mutex_lock(&self->mutex);
    for (GList *link = self->idle.head; link != NULL; link = link->next)
        pthread_cond_signal(&((Worker *)link->data)->wake);
    while (self->threads > self->stuck && dlk_cond_wait_until(&self->changed, &self->mutex, until))
        ;
    pthread_mutex_unlock(&self->mutex);
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
    end_threads(self);
    g_source_destroy(self->source);
    dlk_timers_free(self->timers);
    pool_unref(self);
}
