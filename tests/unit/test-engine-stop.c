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
static void
wait_for_storage(gconstpointer data)
{
    static char stack[1 << 16] __attribute__((aligned(16)));

    clone(answer, stack + sizeof stack, CLONE_VFORK | SIGCHLD, NULL);
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
start_to_count(gconstpointer data)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, count, NULL) != 0)
        _exit(1);
}

/* Whose lease is just broken, while it waits. */
static DlkLease *
break_waiting(EngineFixture *f, const OtherProcess *process, const char *on_break)
{
    g_autofree char *options = g_strdup_printf("{'pid': <uint32 %d>, 'on-break': <'%s'>, 'owner': <'web01'>}",
                                               process->pid, on_break);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, options);
    g_autoptr(GError) error = NULL;

    engine_wait_until(other_process_state(process->pid) == 'D');
    dlk_engine_break(f->engine, lease, f->root, "revoked", &error);
    g_assert_no_error(error);
    return lease;
}

static gboolean
has_been_looked_at(const DlkLease *lease)
{
    return dlk_holding(lease)->looks >= 8;
}

static void
test_who_waits_for_storage_is_killed_when_that_has_answered(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", NULL, wait_for_storage, NULL);
    DlkLease *lease = break_waiting(f, &process, "kill");

    engine_wait_until(has_been_looked_at(lease));
    g_assert_cmpint(other_process_state(process.pid), ==, 'D');
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "process is being stopped");
    g_atomic_int_set(&shared->answers, TRUE);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_cmpint(other_process_state(process.pid), ==, 'Z');
}

static void
test_a_disk_is_closed_until_who_is_paused_has_stopped(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", NULL, wait_for_storage, NULL);
    DlkLease *lease = break_waiting(f, &process, "pause");

    engine_wait_until(has_been_looked_at(lease));
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "process is being stopped");
    g_atomic_int_set(&shared->answers, TRUE);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_cmpint(other_process_state(process.pid), ==, 'T');
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_threads_stop_though_the_main_thread_waits(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", start_to_count, wait_for_storage, NULL);
    DlkLease *lease = break_waiting(f, &process, "kill");

    engine_wait_until(dlk_pid_threads_look(lease->process) == DLK_THREADS_WAIT);
    const int counted = g_atomic_int_get(&shared->counted);
    g_usleep(100 * G_TIME_SPAN_MILLISECOND);
    g_assert_cmpint(g_atomic_int_get(&shared->counted), ==, counted);
    g_atomic_int_set(&shared->answers, TRUE);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_cmpint(other_process_state(process.pid), ==, 'Z');
}

static void
test_who_is_ended_meanwhile_keeps_nothing_closed(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start_then("vm", NULL, wait_for_storage, NULL);
    DlkLease *lease = break_waiting(f, &process, "pause");

    engine_wait_until(has_been_looked_at(lease));
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
    ADD("threads", test_threads_stop_though_the_main_thread_waits);
    ADD("ended-meanwhile", test_who_is_ended_meanwhile_keeps_nothing_closed);
    return g_test_run();
}
