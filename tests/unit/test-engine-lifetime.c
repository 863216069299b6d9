#include "engine-fixture.h"

#include "base/fd.h"
#include "other-process.h"

#include <fcntl.h>
#include <sys/syscall.h>

#define OF_PROCESS "{'lifetime': <'process'>, 'pid': <uint32 %d>}"

static void
test_process_lease_ends_with_its_process(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    g_autofree char *options = g_strdup_printf(OF_PROCESS, process.pid);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, options);

    engine_settle(f);
    g_assert_cmpint(lease->pid, ==, process.pid);
    g_assert_cmpint(lease->phase, ==, DLK_PHASE_HELD);
    kill(process.pid, SIGKILL);
    engine_wait_until(engine_has_event(f, "released a.img"));
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 30000>}");
}

static void
test_process_may_be_named_by_pidfd(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    DlkRequest *request = engine_request(f->root, "{'lifetime': <'process'>}");

    request->pidfd = (int)syscall(SYS_pidfd_open, process.pid, 0);
    dlk_request_add(request, engine_image(f, "a.img"), -1, DLK_MODE_EXCLUSIVE);
    DlkLease *lease = engine_granted(engine_ask(f, request));
    g_assert_cmpint(lease->pid, ==, process.pid);
    kill(process.pid, SIGKILL);
    engine_wait_until(engine_has_event(f, "released a.img"));
}

static void
test_all_leases_of_a_process_end_with_it_and_no_others(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) first = other_process_start("vm1", NULL, NULL);
    g_auto(OtherProcess) second = other_process_start("vm2", NULL, NULL);
    g_autoptr(DlkCaller) caller = engine_caller_of_pid(0, ":1.2", first.pid);
    g_autofree char *of_second = g_strdup_printf(OF_PROCESS, second.pid);
    EngineAnswer *a = engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, "{'lifetime': <'process'>}");
    EngineAnswer *b = engine_ask_as(f, caller, "b.img", DLK_MODE_EXCLUSIVE, "{'lifetime': <'process'>}");

    engine_granted(a);
    engine_granted(b);
    DlkLease *other = engine_acquire(f, "c.img", DLK_MODE_EXCLUSIVE, of_second);
    kill(first.pid, SIGKILL);
    engine_wait_until(engine_has_event(f, "released a.img") && engine_has_event(f, "released b.img"));
    engine_settle(f);
    g_assert_cmpint(other->phase, ==, DLK_PHASE_HELD);
}

static void
test_persistent_lease_outlives_process_and_connection(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    g_autofree char *options = g_strdup_printf("{'pid': <uint32 %d>}", process.pid);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, options);

    g_assert_nonnull(lease->process);
    kill(process.pid, SIGKILL);
    dlk_engine_caller_gone(f->engine, f->root->name);
    engine_wait_until(lease->process == NULL);
    engine_settle(f);
    g_assert_cmpint(lease->phase, ==, DLK_PHASE_HELD);
    g_assert_cmpint(lease->pid, ==, process.pid);
}

static void
test_process_that_ends_while_its_lease_is_locked_keeps_nothing(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    g_autofree char *options = g_strdup_printf(OF_PROCESS, process.pid);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    EngineAnswer *answer = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, options);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    kill(process.pid, SIGKILL);
    dlk_fake_backend_go_on(f->fake);
    engine_wait_until(answer->done);
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
}

static void
test_connection_lease_ends_with_its_connection(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) first = engine_caller(0, ":1.2", NULL);
    g_autoptr(DlkCaller) second = engine_caller(0, ":1.3", NULL);
    static const char options[] = "{'lifetime': <'connection'>}";

    engine_granted(engine_ask_as(f, first, "a.img", DLK_MODE_EXCLUSIVE, options));
    engine_granted(engine_ask_as(f, first, "b.img", DLK_MODE_EXCLUSIVE, options));
    DlkLease *kept = engine_granted(engine_ask_as(f, first, "c.img", DLK_MODE_EXCLUSIVE, NULL));
    DlkLease *other = engine_granted(engine_ask_as(f, second, "d.img", DLK_MODE_EXCLUSIVE, options));

    dlk_engine_caller_gone(f->engine, ":1.2");
    engine_wait_until(engine_has_event(f, "released a.img") && engine_has_event(f, "released b.img"));
    engine_settle(f);
    g_assert_cmpint(kept->phase, ==, DLK_PHASE_HELD);
    g_assert_cmpint(other->phase, ==, DLK_PHASE_HELD);
    dlk_engine_caller_gone(f->engine, ":1.4711");
}

static void
test_connection_that_goes_when_its_lease_has_ended_harms_nobody(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(0, ":1.2", NULL);
    DlkLease *lease =
        engine_granted(engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, "{'lifetime': <'connection'>}"));

    engine_release(f, lease);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    dlk_engine_caller_gone(f->engine, ":1.2");
    engine_settle(f);
    engine_assert_events(f, "acquired a.img\nreleased a.img\nacquired a.img\n");
}

/* ---- connections, and a bus that was away ---- */

#define SHORT_GRACE ENGINE_POLICY "connection-grace=0.01\n"

static DlkLease *
hold_over_a_loss_of_the_bus(EngineFixture *f, const char *bus_after)
{
    DlkLease *lease;

    dlk_engine_bus_joined(f->engine, "first bus");
    lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'lifetime': <'connection'>}");
    dlk_engine_bus_gone(f->engine);
    dlk_engine_bus_joined(f->engine, bus_after);
    return lease;
}

/* Longer than the grace. */
static void
let_time_pass(EngineFixture *f)
{
    g_usleep(30 * G_TIME_SPAN_MILLISECOND);
    engine_settle(f);
}

static void
test_grace_begins_when_claims_can_come(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = hold_over_a_loss_of_the_bus(f, "second bus");
    g_autoptr(GPtrArray) lost = dlk_engine_lost_callers(f->engine);

    g_assert_cmpuint(lost->len, ==, 0);
    let_time_pass(f);
    g_assert_cmpint(lease->phase, ==, DLK_PHASE_HELD);
    dlk_engine_await_claims(f->engine);
    engine_wait_until(engine_has_event(f, "released a.img"));
}

static void
test_who_can_be_asked_after_has_no_grace(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = hold_over_a_loss_of_the_bus(f, "first bus");
    g_autoptr(GPtrArray) lost = dlk_engine_lost_callers(f->engine);

    g_assert_cmpuint(lost->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(lost, 0), ==, f->root->name);
    dlk_engine_await_claims(f->engine);
    let_time_pass(f);
    g_assert_cmpint(lease->phase, ==, DLK_PHASE_HELD);
    dlk_engine_caller_gone(f->engine, f->root->name);
    engine_wait_until(engine_has_event(f, "released a.img"));
}

/* ---- keep descriptors ---- */

static EngineAnswer *
hold(EngineFixture *f, const char *image)
{
    DlkRequest *request = engine_request(f->root, NULL);

    request->keep = TRUE;
    request->options->lifetime = DLK_LIFETIME_FD;
    dlk_request_add(request, engine_image(f, image), -1, DLK_MODE_EXCLUSIVE);
    EngineAnswer *answer = engine_ask(f, request);
    engine_assert_good(answer);
    g_assert_cmpint(answer->keep_fd, >=, 0);
    return answer;
}

static void
test_lease_ends_when_the_last_copy_of_keep_is_closed(EngineFixture *f, gconstpointer data)
{
    EngineAnswer *answer = hold(f, "a.img");
    dlk_autofd copy = fcntl(answer->keep_fd, F_DUPFD_CLOEXEC, 0);

    close(g_steal_fd(&answer->keep_fd));
    engine_settle(f);
    engine_assert_events(f, "acquired a.img\n");
    close(g_steal_fd(&copy));
    engine_wait_until(engine_has_event(f, "released a.img"));
}

static void
test_nothing_written_to_keep_ends_the_lease(EngineFixture *f, gconstpointer data)
{
    EngineAnswer *answer = hold(f, "a.img");
    char byte = 0;

    /* It is for closing only: nothing can be read from it, or written to it. */
    g_assert_cmpint(write(answer->keep_fd, "x", 1), <, 0);
    g_assert_cmpint(read(answer->keep_fd, &byte, 1), <, 0);
    engine_settle(f);
    engine_assert_events(f, "acquired a.img\n");
    engine_release(f, answer->leases->pdata[0]);
}

static void
test_keep_in_another_process_keeps_the_lease(EngineFixture *f, gconstpointer data)
{
    EngineAnswer *answer = hold(f, "a.img");
    g_auto(OtherProcess) process = other_process_start("keeper", NULL, NULL);

    close(g_steal_fd(&answer->keep_fd));
    engine_settle(f);
    engine_assert_events(f, "acquired a.img\n");
    other_process_stop(&process);
    engine_wait_until(engine_has_event(f, "released a.img"));
}

#define ADD(name, test) engine_add("/engine-lifetime/" name, NULL, test)

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    ADD("process", test_process_lease_ends_with_its_process);
    ADD("process-by-pidfd", test_process_may_be_named_by_pidfd);
    ADD("all-leases-of-a-process", test_all_leases_of_a_process_end_with_it_and_no_others);
    ADD("persistent-outlives-all", test_persistent_lease_outlives_process_and_connection);
    ADD("process-ends-while-locking", test_process_that_ends_while_its_lease_is_locked_keeps_nothing);
    ADD("connection", test_connection_lease_ends_with_its_connection);
    ADD("connection-after-release", test_connection_that_goes_when_its_lease_has_ended_harms_nobody);
    engine_add("/engine-lifetime/grace", SHORT_GRACE, test_grace_begins_when_claims_can_come);
    engine_add("/engine-lifetime/asked-after", SHORT_GRACE, test_who_can_be_asked_after_has_no_grace);
    ADD("keep-closed", test_lease_ends_when_the_last_copy_of_keep_is_closed);
    ADD("keep-is-for-closing-only", test_nothing_written_to_keep_ends_the_lease);
    ADD("keep-in-another-process", test_keep_in_another_process_keeps_the_lease);
    return g_test_run();
}
