#include "base/error.h"
#include "host/pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define LONG (600 * G_USEC_PER_SEC)
#define PATIENCE (30 * G_USEC_PER_SEC)

/* A gate that jobs stand at until the test opens it; counts those inside. pthread's, for thread checkers. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    gboolean open;
    guint inside, most_inside, passed, inputs_freed, results_freed;
    GString *order;
} Gate;

typedef struct {
    Gate *gate;
    char letter;
    gboolean waits;
    gboolean fails;
} Input;

typedef struct {
    DlkPool *pool;
    GMainContext *context;
    Gate gate;
    guint answers, unreachable, failed;
    int number;
    GString *messages;
} Fixture;

static gpointer
pass(gpointer data, GError **error)
{
    Input *input = data;
    Gate *gate = input->gate;
    pthread_mutex_lock(&gate->mutex);
    gate->inside++;
    gate->most_inside = MAX(gate->most_inside, gate->inside);
    while (input->waits && !gate->open)
        pthread_cond_wait(&gate->cond, &gate->mutex);
    gate->inside--;
    gate->passed++;
    g_string_append_c(gate->order, input->letter);
    pthread_mutex_unlock(&gate->mutex);
    if (!input->fails)
        return gate;
    g_set_error_literal(error, DLK_ERROR, DLK_ERROR_BUSY, "somebody has it");
    return NULL;
}

static void
input_free(gpointer data)
{
    Input *input = data;
    pthread_mutex_lock(&input->gate->mutex);
    input->gate->inputs_freed++;
    pthread_mutex_unlock(&input->gate->mutex);
    g_free(input);
}

static void
result_free(gpointer data)
{
    Gate *gate = data;
    pthread_mutex_lock(&gate->mutex);
    gate->results_freed++;
    pthread_mutex_unlock(&gate->mutex);
}

static const DlkJob job = {"pass", pass, input_free, result_free};

static guint
gate_get(Gate *gate, const guint *member)
{
    pthread_mutex_lock(&gate->mutex);
    guint value = *member;
    pthread_mutex_unlock(&gate->mutex);
    return value;
}

static void
gate_open(Gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = TRUE;
    pthread_cond_broadcast(&gate->cond);
    pthread_mutex_unlock(&gate->mutex);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->context = g_main_context_new();
    f->pool = dlk_pool_new(f->context);
    pthread_mutex_init(&f->gate.mutex, NULL);
    pthread_cond_init(&f->gate.cond, NULL);
    f->gate.order = g_string_new(NULL);
    f->messages = g_string_new(NULL);
}

static void
answered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Fixture *f = user_data;
    g_autoptr(GError) error = NULL;
    gpointer value = dlk_pool_run_finish(f->pool, result, &error);
    f->answers++;
    if (g_error_matches(error, DLK_ERROR, DLK_ERROR_UNREACHABLE))
        f->unreachable++;
    if (error == NULL)
        g_assert_true(value == &f->gate);
    else
        g_assert_null(value);
    f->failed += error != NULL;
    if (error != NULL)
        g_string_append(f->messages, error->message);
}

static void
run(Fixture *f, Input input, const char *lane, const char *disk, gint64 time)
{
    input.gate = &f->gate;
    gint64 deadline = time == G_MAXINT64 ? time : g_get_monotonic_time() + time;
    dlk_pool_run_async(f->pool, &job, g_memdup2(&input, sizeof input), lane, disk, deadline, answered, f);
}

/* Turns the loop until @condition; what takes longer than anybody's patience is a failure. */
#define WAIT_UNTIL(f, condition)                                                                             \
    for (gint64 end = g_get_monotonic_time() + PATIENCE; !(condition);) {                                    \
        g_assert_cmpint(g_get_monotonic_time(), <, end);                                                     \
        if (!g_main_context_iteration((f)->context, FALSE))                                                  \
            g_usleep(200);                                                                                   \
    }

static void
tear_down(Fixture *f, gconstpointer data)
{
    gate_open(&f->gate);
    /* Who is stuck stands at the gate: the pool's end does not wait for them, the gate's has to. */
    WAIT_UNTIL(f, f->pool == NULL || dlk_pool_stuck(f->pool) == 0);
    g_clear_pointer(&f->pool, dlk_pool_free);
    g_main_context_unref(f->context);
    pthread_mutex_destroy(&f->gate.mutex);
    pthread_cond_destroy(&f->gate.cond);
    g_string_free(f->gate.order, TRUE);
    g_string_free(f->messages, TRUE);
}

static void
test_result_arrives(Fixture *f, gconstpointer data)
{
    run(f, (Input){.letter = 'a'}, "8:1", NULL, LONG);
    g_assert_cmpuint(f->answers, ==, 0);
    WAIT_UNTIL(f, f->answers == 1);
    g_assert_cmpuint(f->failed, ==, 0);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.inputs_freed), ==, 1);
}

static void
test_failure_arrives_unchanged(Fixture *f, gconstpointer data)
{
    run(f, (Input){.letter = 'a', .fails = TRUE}, "8:1", NULL, G_MAXINT64);
    WAIT_UNTIL(f, f->answers == 1);
    g_assert_cmpstr(f->messages->str, ==, "somebody has it");
}

static void
test_lane_runs_a_bounded_number_at_once(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 50; i++)
        run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", NULL, LONG);
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inside) == DLK_POOL_LANE_JOBS);
    g_assert_cmpuint(dlk_pool_running(f->pool), ==, DLK_POOL_LANE_JOBS);
    gate_open(&f->gate);
    WAIT_UNTIL(f, f->answers == 50);
    g_assert_cmpuint(f->gate.most_inside, ==, DLK_POOL_LANE_JOBS);
}

static void
test_pool_runs_a_bounded_number_at_once(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 100; i++) {
        g_autofree char *lane = g_strdup_printf("8:%u", i);
        run(f, (Input){.letter = 'a', .waits = TRUE}, lane, NULL, LONG);
    }
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inside) == DLK_POOL_THREADS);
    gate_open(&f->gate);
    WAIT_UNTIL(f, f->answers == 100);
    g_assert_cmpuint(f->gate.most_inside, ==, DLK_POOL_THREADS);
}

static void
test_jobs_of_a_disk_run_in_order_one_at_a_time(Fixture *f, gconstpointer data)
{
    for (char letter = 'a'; letter <= 'z'; letter++)
        run(f, (Input){.letter = letter}, letter % 2 == 0 ? "8:1" : "8:2", "file:8:1:1", LONG);
    WAIT_UNTIL(f, f->answers == 26);
    g_assert_cmpstr(f->gate.order->str, ==, "abcdefghijklmnopqrstuvwxyz");
    g_assert_cmpuint(f->gate.most_inside, ==, 1);
}

static void
test_deadline_answers_unreachable(Fixture *f, gconstpointer data)
{
    run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", NULL, 50000);
    WAIT_UNTIL(f, f->answers == 1);
    g_assert_cmpuint(f->unreachable, ==, 1);
    g_assert_cmpstr(f->messages->str, ==, "the storage did not answer within 0.05 s (pass)");
    g_assert_cmpuint(dlk_pool_stuck(f->pool), ==, 1);
    g_assert_cmpuint(dlk_pool_running(f->pool), ==, 0);
}

static void
test_stuck_job_frees_what_it_brings_back_late(Fixture *f, gconstpointer data)
{
    run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", NULL, 20000);
    WAIT_UNTIL(f, f->answers == 1);
    gate_open(&f->gate);
    WAIT_UNTIL(f, dlk_pool_stuck(f->pool) == 0);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.inputs_freed), ==, 1);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.results_freed), ==, 1);
    g_assert_cmpuint(f->answers, ==, 1);
}

static void
test_hanging_lane_costs_a_few_threads_and_all_are_answered(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 200; i++) {
        g_autofree char *disk = g_strdup_printf("file:8:1:%u", i / 2);
        run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", disk, 50000);
    }
    WAIT_UNTIL(f, f->answers == 200);
    g_assert_cmpuint(f->unreachable, ==, 200);
    g_assert_cmpuint(dlk_pool_stuck(f->pool), ==, DLK_POOL_LANE_JOBS);
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inputs_freed) == 200 - DLK_POOL_LANE_JOBS);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.passed), ==, 0);
}

static void
test_other_lanes_go_on_while_one_hangs(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 200; i++)
        run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", NULL, LONG);
    for (guint i = 0; i < 2000; i++)
        run(f, (Input){.letter = 'b'}, "8:2", NULL, LONG);
    WAIT_UNTIL(f, f->answers == 2000);
    g_assert_cmpuint(f->failed, ==, 0);
    gate_open(&f->gate);
    WAIT_UNTIL(f, f->answers == 2200);
}

static void
test_lane_that_comes_back_runs_again(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 8; i++)
        run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", NULL, 20000);
    WAIT_UNTIL(f, f->answers == 8);
    gate_open(&f->gate);
    run(f, (Input){.letter = 'b'}, "8:1", NULL, LONG);
    WAIT_UNTIL(f, f->answers == 9);
    g_assert_cmpuint(f->unreachable, ==, 8);
    WAIT_UNTIL(f, dlk_pool_stuck(f->pool) == 0);
}

static void
test_stuck_threads_are_bounded(Fixture *f, gconstpointer data)
{
    const guint lanes = DLK_POOL_STUCK_THREADS + 2 * DLK_POOL_THREADS;
    for (guint i = 0; i < lanes; i++) {
        g_autofree char *lane = g_strdup_printf("8:%u", i);
        run(f, (Input){.letter = 'a', .waits = TRUE}, lane, NULL, 20000);
        WAIT_UNTIL(f, f->answers == i + 1);
    }
    g_assert_cmpuint(dlk_pool_stuck(f->pool), <=, DLK_POOL_STUCK_THREADS + DLK_POOL_THREADS);
    run(f, (Input){.letter = 'b'}, "9:1", NULL, LONG);
    gate_open(&f->gate);
    WAIT_UNTIL(f, f->answers == lanes + 1);
    g_assert_cmpuint(f->unreachable, ==, lanes);
    WAIT_UNTIL(f, dlk_pool_stuck(f->pool) == 0);
}

static void
test_ten_thousand_jobs_on_a_hundred_disks(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 10000; i++) {
        g_autofree char *lane = g_strdup_printf("8:%u", i % 10);
        g_autofree char *disk = g_strdup_printf("file:8:%u:%u", i % 10, i % 100);
        run(f, (Input){.letter = 'a', .fails = i % 7 == 0}, lane, disk, LONG);
    }
    WAIT_UNTIL(f, f->answers == 10000);
    g_assert_cmpuint(f->failed, ==, 1429);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.inputs_freed), ==, 10000);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.results_freed), ==, 0);
}

static void
test_free_waits_for_the_running_and_refuses_the_queued(Fixture *f, gconstpointer data)
{
    /* Time enough for the threads to begin, on any machine; free() then waits for the rest of it. */
    for (guint i = 0; i < 10; i++)
        run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", NULL, 3 * G_USEC_PER_SEC);
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inside) == DLK_POOL_LANE_JOBS);
    g_assert_cmpuint(f->answers, ==, 0);
    g_clear_pointer(&f->pool, dlk_pool_free);
    g_assert_cmpuint(f->answers, ==, 10);
    g_assert_cmpuint(f->unreachable, ==, 10);
    g_assert_nonnull(strstr(f->messages->str, "the service is ending"));
    gate_open(&f->gate);
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.results_freed) == DLK_POOL_LANE_JOBS);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.inputs_freed), ==, 10);
}

static void
test_job_that_nobody_waits_for_is_done_all_the_same(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 10; i++)
        dlk_pool_drop(f->pool, g_memdup2(&(Input){.gate = &f->gate}, sizeof(Input)), input_free, "8:1");
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inputs_freed) == 10);
    run(f, (Input){.letter = 'a'}, "8:1", NULL, LONG);
    WAIT_UNTIL(f, f->answers == 1);
}

/* What closing the last descriptor of a disk is on storage that hangs. */
static void
pass_and_free(gpointer data)
{
    pass(data, NULL);
    input_free(data);
}

static void
test_what_is_dropped_waits_for_no_storage_that_hangs(Fixture *f, gconstpointer data)
{
    dlk_pool_drop(f->pool, g_memdup2(&(Input){.gate = &f->gate}, sizeof(Input)), input_free, "8:2");
    run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", NULL, LONG);
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inputs_freed) == 1);
    g_assert_cmpuint(f->answers, ==, 0);
    gate_open(&f->gate);
    WAIT_UNTIL(f, f->answers == 1);
}

static void
test_what_is_dropped_on_storage_that_hangs_keeps_one_thread(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 10; i++)
        dlk_pool_drop(f->pool, g_memdup2(&(Input){.gate = &f->gate, .waits = TRUE}, sizeof(Input)),
                      pass_and_free, "8:1");
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inside) == 1);
    dlk_pool_drop(f->pool, g_memdup2(&(Input){.gate = &f->gate}, sizeof(Input)), input_free, "8:2");
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inputs_freed) == 1);
    run(f, (Input){.letter = 'a'}, "8:1", NULL, LONG);
    WAIT_UNTIL(f, f->answers == 1);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.inside), ==, 1);
    gate_open(&f->gate);
    WAIT_UNTIL(f, gate_get(&f->gate, &f->gate.inputs_freed) == 12);
}

static void
test_disk_is_known_while_it_has_jobs(Fixture *f, gconstpointer data)
{
    run(f, (Input){.letter = 'a', .waits = TRUE}, "8:1", "file:8:1:1", LONG);
    g_assert_true(dlk_pool_has_disk(f->pool, "file:8:1:1"));
    g_assert_false(dlk_pool_has_disk(f->pool, "file:8:1:2"));
    gate_open(&f->gate);
    WAIT_UNTIL(f, f->answers == 1);
    g_assert_false(dlk_pool_has_disk(f->pool, "file:8:1:1"));
}

static gpointer
blocked_signals(gpointer input, GError **error)
{
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return GINT_TO_POINTER(sigismember(&blocked, SIGTERM) + sigismember(&blocked, SIGCHLD) + 1);
}

static void
take_number(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(int *)user_data = GPOINTER_TO_INT(dlk_pool_run_finish(NULL, result, NULL));
}

static void
test_workers_take_no_process_signals(Fixture *f, gconstpointer data)
{
    const DlkJob ask = {"ask", blocked_signals, NULL, NULL};

    dlk_pool_run_async(f->pool, &ask, NULL, "8:1", NULL, G_MAXINT64, take_number, &f->number);
    WAIT_UNTIL(f, f->number != 0);
    g_assert_cmpint(f->number, ==, 3);
}

static void
test_jobs_wait_while_the_kernel_gives_no_thread(Fixture *f, gconstpointer data)
{
    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NPROC, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 0;
    g_assert_cmpint(setrlimit(RLIMIT_NPROC, &limit), ==, 0);
    if (geteuid() == 0) /* root has no such limit */
        g_assert_cmpint(setresuid(65534, 65534, 65534), ==, 0);

    run(f, (Input){.letter = 'a'}, "8:1", NULL, LONG);
    run(f, (Input){.letter = 'b'}, "8:2", NULL, 20000);
    WAIT_UNTIL(f, f->answers == 1);
    g_assert_cmpuint(f->unreachable, ==, 1);
    g_assert_cmpuint(gate_get(&f->gate, &f->gate.passed), ==, 0);

    limit.rlim_cur = before;
    g_assert_cmpint(setrlimit(RLIMIT_NPROC, &limit), ==, 0);
    WAIT_UNTIL(f, f->answers == 2);
    g_assert_cmpuint(f->unreachable, ==, 1);
}

#define TEST(name) g_test_add("/pool/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(result_arrives);
    TEST(failure_arrives_unchanged);
    TEST(lane_runs_a_bounded_number_at_once);
    TEST(pool_runs_a_bounded_number_at_once);
    TEST(jobs_of_a_disk_run_in_order_one_at_a_time);
    TEST(deadline_answers_unreachable);
    TEST(stuck_job_frees_what_it_brings_back_late);
    TEST(hanging_lane_costs_a_few_threads_and_all_are_answered);
    TEST(other_lanes_go_on_while_one_hangs);
    TEST(lane_that_comes_back_runs_again);
    TEST(stuck_threads_are_bounded);
    TEST(ten_thousand_jobs_on_a_hundred_disks);
    TEST(free_waits_for_the_running_and_refuses_the_queued);
    TEST(job_that_nobody_waits_for_is_done_all_the_same);
    TEST(what_is_dropped_waits_for_no_storage_that_hangs);
    TEST(what_is_dropped_on_storage_that_hangs_keeps_one_thread);
    TEST(disk_is_known_while_it_has_jobs);
    TEST(workers_take_no_process_signals);
    TEST(jobs_wait_while_the_kernel_gives_no_thread);
    return g_test_run();
}
