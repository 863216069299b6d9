#include "base/pid-threads.h"
#include "core/holding.h"
#include "engine-fixture.h"
#include "other-process.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

/* The process of a broken lease while its storage does not answer: it does nothing more, and is killed, or
 * its disk is free, only when what it had under way has come back. */

/* What the test and its process share. */
typedef struct {
    int answers;   /* the storage does */
    guint counted; /* by the process's other thread */
} Shared;

static Shared *shared;

static int
answer(void *data)
{
    alarm(2 * ENGINE_PATIENCE / G_TIME_SPAN_SECOND); /* whatever becomes of the test */
    while (!g_atomic_int_get(&shared->answers))
        usleep(1000);
    return 0;
}

/* A child by CLONE_VFORK is as good as a disk: no signal but SIGKILL ends the waiting for it. */
static void *
wait_for_answer(void *data)
{
    g_autofree char *stack = g_malloc(1 << 16);

    clone(answer, stack + (1 << 16), CLONE_VFORK | SIGCHLD, NULL);
    return NULL;
}

static void
wait_for_storage(gconstpointer data)
{
    wait_for_answer(NULL);
}

static void *
count(void *data)
{
    for (;;) {
        g_atomic_int_inc(&shared->counted);
        usleep(1000);
    }
    return NULL;
}

static void
start_thread(void *(*run)(void *))
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run, NULL) != 0)
        _exit(1);
}

static void
start_to_count(gconstpointer data)
{
    signal(SIGTERM, SIG_IGN);
    start_thread(count);
}

/* The kernel tells one thread after the other to stop: these come before the one that counts. */
static void
start_many(gconstpointer data)
{
    for (guint i = 0; i < 60; i++)
        start_thread(wait_for_answer);
    start_thread(count);
}

/* A lease of @process that is just broken. */
static DlkLease *
break_of(EngineFixture *f, const OtherProcess *process, const char *image, const char *on_break)
{
    DlkLease *lease = engine_acquire_for(f, process, image, on_break);

    engine_break(f, lease);
    return lease;
}

/* The same, while it waits for its storage. */
static DlkLease *
break_waiting(EngineFixture *f, const OtherProcess *process, const char *on_break)
{
    engine_wait_until(other_process_state(process->pid) == 'D');
    return break_of(f, process, "a.img", on_break);
}

/* Often enough to see the process stand, if it did. */
static void
have_it_looked_at(void)
{
    const gint64 until = g_get_monotonic_time() + 300 * G_TIME_SPAN_MILLISECOND;

    while (g_get_monotonic_time() < until)
        engine_turn();
}

/* Its storage answers: the action is over, and the process in @state. */
static void
have_it_answered(DlkLease *lease, const OtherProcess *process, char state)
{
    g_atomic_int_set(&shared->answers, TRUE);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_cmpint(other_process_state(process->pid), ==, (int)state);
}

static void
test_who_waits_for_storage_is_killed_when_that_has_answered(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", NULL, wait_for_storage, NULL);
    DlkLease *lease = break_waiting(f, &process, "kill");

    have_it_looked_at();
    g_assert_cmpint(other_process_state(process.pid), ==, 'D');
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "process is being stopped");
    have_it_answered(lease, &process, 'Z');
}

static void
test_a_disk_is_closed_until_who_is_paused_has_stopped(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", NULL, wait_for_storage, NULL);
    DlkLease *lease = break_waiting(f, &process, "pause");

    have_it_looked_at();
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "process is being stopped");
    have_it_answered(lease, &process, 'T');
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_threads_stop_though_others_wait(EngineFixture *f, gconstpointer data)
{
    static const OtherProcessWork starts[] = {start_to_count, start_many};

    for (guint i = 0; i < G_N_ELEMENTS(starts); i++) {
        g_atomic_int_set(&shared->answers, FALSE);
        g_auto(OtherProcess) process = other_process_start_then("vm", starts[i], wait_for_storage, NULL);
        DlkLease *lease = break_waiting(f, &process, "kill");

        engine_wait_until(dlk_pid_threads_look(lease->process).state == DLK_THREADS_WAIT);
        const int counted = g_atomic_int_get(&shared->counted);
        have_it_looked_at();
        g_assert_cmpint(g_atomic_int_get(&shared->counted), ==, counted);
        have_it_answered(lease, &process, 'Z');
    }
}

/* It undoes every stop. */
static void
continue_it(gconstpointer pid)
{
    for (;;) {
        kill(*(const pid_t *)pid, SIGCONT);
        usleep(100);
    }
}

static void
test_who_does_not_stop_is_killed_all_the_same_or_keeps_his_disk_closed(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) killed = other_process_start_then("vm-1", start_to_count, NULL, NULL);
    g_auto(OtherProcess) paused = other_process_start_then("vm-2", start_to_count, NULL, NULL);
    g_auto(OtherProcess) first = other_process_start_then("helper", NULL, continue_it, &killed.pid);
    g_auto(OtherProcess) second = other_process_start_then("helper", NULL, continue_it, &paused.pid);
    DlkLease *lost = engine_acquire_for(f, &killed, "a.img", "kill"),
             *failed = break_of(f, &paused, "b.img", "pause");

    dlk_break_set_at_risk(f->engine, lost, "no answer"); /* else it would be killed at once */
    engine_break(f, lost);

    engine_wait_until(lost->phase == DLK_PHASE_BROKEN);
    g_assert_cmpint(other_process_state(killed.pid), ==, 'Z');
    engine_wait_until(dlk_holding(failed)->action_failed);
    engine_refused(f, "b.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "process could not be stopped");
    engine_release(f, failed);
    engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, NULL);
}

/* It has the process run between two looks, and stand, but for the thread that waits, when one comes: mostly.
 */
static void
continue_between_looks(gconstpointer pid)
{
    for (;;) {
        kill(*(const pid_t *)pid, SIGCONT);
        usleep(20000);
        kill(*(const pid_t *)pid, SIGSTOP);
        usleep(480000);
    }
}

static void *
work(void *data)
{
    for (;;)
        g_atomic_int_inc(&shared->counted);
    return NULL;
}

static void
start_to_work(gconstpointer data)
{
    start_thread(wait_for_answer);
    start_thread(work);
}

static void
test_who_has_one_thread_wait_and_the_others_continued_is_killed_all_the_same(EngineFixture *f,
                                                                             gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", start_to_work, NULL, NULL);
    g_auto(OtherProcess) helper =
        other_process_start_then("helper", NULL, continue_between_looks, &process.pid);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "kill");

    dlk_break_set_at_risk(f->engine, lease, "no answer");
    engine_break(f, lease);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_cmpint(other_process_state(process.pid), ==, 'Z');
}

static void
test_who_was_paused_for_one_disk_is_not_continued_to_end_for_another(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", start_to_count, NULL, NULL);
    DlkLease *other = engine_acquire_for(f, &process, "b.img", "terminate");
    DlkLease *paused = break_of(f, &process, "a.img", "pause");

    engine_wait_until(paused->phase == DLK_PHASE_BROKEN);
    const int counted = g_atomic_int_get(&shared->counted);
    engine_break(f, other);
    engine_wait_until(other->phase == DLK_PHASE_BROKEN);
    g_assert_cmpint(g_atomic_int_get(&shared->counted), ==, counted);
    g_assert_cmpint(other_process_state(process.pid), ==, 'Z');
}

static void
test_who_is_ended_meanwhile_keeps_nothing_closed(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", NULL, wait_for_storage, NULL);
    DlkLease *lease = break_waiting(f, &process, "pause");

    have_it_looked_at();
    kill(process.pid, SIGKILL);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
set_up(EngineFixture *f, gconstpointer policy)
{
    *shared = (Shared){0};
    engine_set_up(f, policy);
}

static void
tear_down(EngineFixture *f, gconstpointer policy)
{
    g_atomic_int_set(&shared->answers, TRUE);
    engine_tear_down(f, policy);
}

#define ADD(name, test)                                                                                      \
    g_test_add("/engine-stop/" name, EngineFixture, ENGINE_POLICY, set_up, test, tear_down)

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(shared != MAP_FAILED);
    ADD("kill", test_who_waits_for_storage_is_killed_when_that_has_answered);
    ADD("pause", test_a_disk_is_closed_until_who_is_paused_has_stopped);
    ADD("threads", test_threads_stop_though_others_wait);
    ADD("resists", test_who_does_not_stop_is_killed_all_the_same_or_keeps_his_disk_closed);
    ADD("resists-between-looks",
        test_who_has_one_thread_wait_and_the_others_continued_is_killed_all_the_same);
    ADD("another-disk", test_who_was_paused_for_one_disk_is_not_continued_to_end_for_another);
    ADD("ended-meanwhile", test_who_is_ended_meanwhile_keeps_nothing_closed);
    return g_test_run();
}
