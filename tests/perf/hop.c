/*
 * What it costs to have a job that does nothing done by the pool of workers: to the worker and back. Every
 * call that touches storage pays it once for each job.
 *   hop [COUNT]        prints the median time in microseconds
 */
#include "host/pool.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    DlkPool *pool;
    GArray *times;
    gint64 begin;
    guint left;
} Hops;

static gpointer
run_nothing(gpointer input, GError **error)
{
    return NULL;
}

static const DlkJob job = {"nothing", run_nothing, NULL, NULL};

static void on_done(GObject *source, GAsyncResult *result, gpointer user_data);

static void
start(Hops *self)
{
    self->begin = g_get_monotonic_time();
    dlk_pool_run_async(self->pool, &job, NULL, "lane", "disk", G_MAXINT64, on_done, self);
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Hops *self = user_data;
    gint64 time = g_get_monotonic_time() - self->begin;

    dlk_pool_run_finish(self->pool, result, NULL);
    g_array_append_val(self->times, time);
    if (--self->left > 0)
        start(self);
}

static int
compare_times(gconstpointer a, gconstpointer b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

    return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
    guint count = argc > 1 ? (guint)g_ascii_strtoull(argv[1], NULL, 10) : 20000;
    Hops self = {.pool = dlk_pool_new(NULL),
                 .times = g_array_new(FALSE, FALSE, sizeof(gint64)),
                 .left = MAX(count, 1)};

    start(&self);
    while (self.left > 0)
        g_main_context_iteration(NULL, TRUE);
    g_array_sort(self.times, compare_times);
    printf("hop median=%" G_GINT64_FORMAT "\n", g_array_index(self.times, gint64, self.times->len / 2));
    dlk_pool_free(self.pool);
    g_array_unref(self.times);
    return EXIT_SUCCESS;
}
