#include "host/pool-threads.h"

#include "base/thread.h"

/* A thread that nobody needed for so long ends. */
#define IDLE_SECONDS 10
/* So long the end of the pool waits for what expired jobs left to be freed. */
#define SWEEP_US (2 * G_USEC_PER_SEC)

/* References: its thread's, and one of whoever is about to wake it. */
typedef struct _DlkPoolWorker {
    DlkPool *pool;
    DlkPoolJob *job; /* what to do next, given by whoever woke it */
    pthread_cond_t wake;
    GList idle; /* link in the pool's list */
} Worker;

void
dlk_pool_unref(DlkPool *self)
{
    if (!g_atomic_int_dec_and_test(&self->references))
        return;
    g_source_unref(self->source);
    g_main_context_unref(self->context);
    dlk_pool_queue_free(self->queue);
    pthread_mutex_destroy(&self->mutex);
    pthread_cond_destroy(&self->changed);
    g_free(self);
}

/* Past DLK_POOL_STUCK_THREADS a stuck thread counts against the pool's size like any other: the total is
 * bounded. */
static gboolean
has_room(const DlkPool *self)
{
    return self->running < DLK_POOL_THREADS &&
           self->running + self->sweeping + self->stuck < DLK_POOL_THREADS + DLK_POOL_STUCK_THREADS;
}

static gboolean
may_start(const DlkPool *self)
{
    return dlk_pool_queue_is_ready(self->queue) && has_room(self);
}

gboolean
dlk_pool_is_full(DlkPool *self)
{
    pthread_mutex_lock(&self->mutex);
    const gboolean full = !has_room(self) || self->no_thread;
    pthread_mutex_unlock(&self->mutex);
    return full;
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
worker_clear(gpointer data)
{
    pthread_cond_destroy(&((Worker *)data)->wake);
}

static void
worker_unref(Worker *worker)
{
    g_atomic_rc_box_release_full(worker, worker_clear);
}

static Worker *
new_worker(DlkPool *self)
{
    Worker *worker = g_atomic_rc_box_new0(Worker);
    worker->pool = self;
    worker->idle.data = worker;
    dlk_cond_init(&worker->wake);
    if (!dlk_thread_start(worker_main, worker)) {
        worker_unref(worker);
        return NULL;
    }
    self->threads++;
    g_atomic_int_inc(&self->references);
    return worker;
}

void
dlk_pool_start_jobs(DlkPool *self, DlkPoolWoken *woken)
{
    while (may_start(self) && woken->n < G_N_ELEMENTS(woken->workers)) {
        GList *link = g_queue_pop_head_link(&self->idle);
        Worker *worker = link != NULL ? link->data : new_worker(self);
        if (worker == NULL) {
            self->no_thread = TRUE;
            return;
        }
        worker->job = start_next(self);
        woken->workers[woken->n++] = g_atomic_rc_box_acquire(worker);
    }
}

void
dlk_pool_wake(DlkPoolWoken *woken)
{
    for (guint i = 0; i < woken->n; i++) {
        pthread_cond_signal(&woken->workers[i]->wake);
        worker_unref(woken->workers[i]);
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
    /* One that nobody waits for is taken off the books with the next answer. */
    gboolean wake = job->callback != NULL && !g_atomic_int_get(&self->woken);
    g_object_unref(job);
    return wake;
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

/* Mutex held, given up meanwhile: what follows from the end of a job. */
static void
go_on(Worker *worker, gboolean wake_main)
{
    DlkPool *self = worker->pool;
    DlkPoolWoken woken = {.n = 0};

    worker->job = start_next(self);
    dlk_pool_start_jobs(self, &woken);
    wake_main = (wake_main || self->no_thread) && !self->closing;
    if (self->closing)
        pthread_cond_signal(&self->changed);
    if (!wake_main && woken.n == 0)
        return;
    if (wake_main)
        g_atomic_int_set(&self->woken, TRUE);
    pthread_mutex_unlock(&self->mutex);
    dlk_pool_wake(&woken);
    if (wake_main)
        g_main_context_wakeup(self->context);
    pthread_mutex_lock(&self->mutex);
}

static void *
worker_main(void *data)
{
    Worker *worker = data;
    DlkPool *self = worker->pool;

    pthread_mutex_lock(&self->mutex);
    while (worker->job != NULL || wait_for_job(worker)) {
        DlkPoolJob *job = g_steal_pointer(&worker->job);
        gboolean wake = FALSE;

        if (job->expired)
            sweep(self, job);
        else
            wake = run(self, job);
        go_on(worker, wake);
    }
    self->threads--;
    if (self->closing)
        pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    worker_unref(worker);
    dlk_pool_unref(self);
    return NULL;
}

void
dlk_pool_end_threads(DlkPool *self)
{
    gint64 until = g_get_monotonic_time() + SWEEP_US;
    pthread_mutex_lock(&self->mutex);
    for (GList *link = self->idle.head; link != NULL; link = link->next)
        pthread_cond_signal(&((Worker *)link->data)->wake);
    while (self->threads > self->stuck && dlk_cond_wait_until(&self->changed, &self->mutex, until))
        ;
    pthread_mutex_unlock(&self->mutex);
}
