#include "core/holding.h"
#include "engine-fixture.h"

#include "other-process.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What happens to the process of a lease that breaks, and when the disk is free again. */

#define GRACE_SHORT ENGINE_POLICY "grace=0.2\n"
#define GRACE_LONG ENGINE_POLICY "grace=3600\n"

static void
ignore_sigterm(gconstpointer data)
{
    signal(SIGTERM, SIG_IGN);
}

static gboolean
lives(const OtherProcess *process)
{
    return other_process_state(process->pid) != 'Z';
}

static void
test_broken_lease_stays_readable_and_keeps_nobody_out(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_break(f, lease);
    g_assert_cmpint(lease->state, ==, DLK_STATE_BROKEN);
    g_assert_cmpstr(lease->broken_reason, ==, "revoked");
    g_assert_true(dlk_table_find(dlk_engine_table(f->engine), &lease->id) == lease);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_release(f, lease);
    g_assert_null(dlk_table_find(dlk_engine_table(f->engine), &lease->id));
    engine_assert_events(f, "acquired a.img\nbroken a.img: revoked\nacquired a.img\nreleased a.img\n");
}

static void
test_lease_breaks_once(EngineFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_break(f, lease);
    g_assert_false(dlk_engine_break(f->engine, lease, f->root, "again", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST);
    g_assert_nonnull(strstr(error->message, "revoked"));
}

static void
test_waiter_is_served_when_the_lease_breaks(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    EngineAnswer *waiter = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, "{'wait': <uint32 60000>}");

    engine_wait_until(dlk_table_waiters_of(dlk_engine_table(f->engine), 0) == 1);
    engine_break(f, lease);
    engine_granted(waiter);
}

static void
test_signal_touches_no_process(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "signal");

    engine_break(f, lease);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    g_assert_cmpint(other_process_state(process.pid), ==, 'S');
}

static void
test_pause_stops_the_process(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    g_auto(OtherProcess) bystander = other_process_start("other", NULL, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "pause");

    engine_break(f, lease);
    engine_wait_until(other_process_state(process.pid) == 'T');
    g_assert_cmpint(other_process_state(bystander.pid), ==, 'S');
}

static void
test_kill_ends_the_process_and_no_other(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    g_auto(OtherProcess) bystander = other_process_start("other", NULL, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "kill");

    engine_break(f, lease);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_false(lives(&process));
    g_assert_true(lives(&bystander));
}

static void
test_terminate_ends_the_process(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    engine_break(f, lease);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_false(lives(&process));
}

static void
test_terminate_ends_who_stands_without_continuing_him(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", ignore_sigterm, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    kill(process.pid, SIGSTOP);
    engine_wait_until(other_process_state(process.pid) == 'T');
    engine_break(f, lease);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
}

static void
test_process_that_ignores_sigterm_is_killed_after_the_grace(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", ignore_sigterm, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    engine_break(f, lease);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_false(lives(&process));
}

static void
test_disk_stays_closed_until_the_process_is_gone(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", ignore_sigterm, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    engine_break(f, lease);
    engine_refused(f, "a.img", DLK_MODE_READ_ONLY, NULL, DLK_ERROR_BUSY,
                   "was held by web01, whose lease is broken and whose process is being stopped");
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 1);
    kill(process.pid, SIGKILL);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

/* For this thread alone, with whatever it may still do to files that are open. */
static void
become(uid_t uid)
{
    g_assert_cmpint(syscall(SYS_setresuid, uid, uid, -1), ==, 0);
}

static void
test_release_frees_the_disk_of_a_process_that_cannot_be_killed(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", ignore_sigterm, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    engine_break(f, lease);
    become(65534); /* who may not send it a signal */
    engine_release(f, lease);
    engine_wait_until(dlk_table_live_count(dlk_engine_table(f->engine)) == 0);
    become(0);
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
}

static void
test_who_is_refused_reads_that_the_process_could_not_be_stopped(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", ignore_sigterm, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    engine_break(f, lease);
    /* As where the kernel refuses the signal. */
    dlk_holding(lease)->action_failed = TRUE;
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY,
                   "whose lease is broken and whose process could not be stopped");
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY,
                   "; stop that process, then: disklockctl release ");
    kill(process.pid, SIGKILL);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
}

static void
test_release_does_not_open_the_disk_before_the_process_is_gone(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", ignore_sigterm, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    engine_break(f, lease);
    EngineAnswer *release = engine_ask_release(f, lease);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "is being stopped");
    g_assert_true(lives(&process));
    kill(process.pid, SIGKILL);
    engine_assert_good(release);
    engine_wait_until(dlk_table_count(dlk_engine_table(f->engine)) == 0);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_caller_who_leaves_does_not_save_the_process(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", ignore_sigterm, NULL);
    g_autofree char *options = g_strdup_printf(
        "{'pid': <uint32 %d>, 'on-break': <'terminate'>, 'lifetime': <'connection'>}", process.pid);
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, options);

    engine_break(f, lease);
    dlk_engine_caller_gone(f->engine, f->root->name);
    engine_wait_until(!lives(&process));
    engine_wait_until(dlk_table_live_count(dlk_engine_table(f->engine)) == 0);
}

static void
test_process_that_has_ended_already_keeps_nothing_closed(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "terminate");

    kill(process.pid, SIGKILL);
    engine_wait_until(lease->process == NULL);
    engine_break(f, lease);
    g_assert_cmpint(lease->phase, ==, DLK_PHASE_BROKEN);
}

/* ---- exec ---- */

/* A policy whose program does what @script says. */
static void
set_program(EngineFixture *f, const char *script, const char *grace)
{
    g_autofree char *path = scratch_path(&f->scratch, "program");
    g_autofree char *policy = g_strdup_printf(
        "[Rule test]\nbackend=fake\non-break=exec\non-break-allowed=exec\ncheck-interval=3600\n"
        "grace=%s\nexec=%s\n",
        grace, path);
    g_autoptr(GError) error = NULL;

    if (script)
        g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755, &error);
    g_assert_no_error(error);
    engine_write_policy(f, policy);
    dlk_engine_reload(f->engine, &error);
    g_assert_no_error(error);
}

static void
assert_says(const char *text, const char *name, const char *value)
{
    g_autofree char *line = g_strdup_printf("\n%s=%s\n", name, value);
    g_autofree char *framed = g_strconcat("\n", text, NULL);

    if (!strstr(framed, line))
        g_error("no line \"%s=%s\" in %s", name, value, text);
}

static void
test_program_gets_the_lease_in_its_environment(EngineFixture *f, gconstpointer data)
{
    g_autofree char *out = scratch_path(&f->scratch, "out");
    g_autofree char *script = g_strdup_printf("#!/bin/sh\nenv > %s\n", out);
    g_autofree char *text = NULL;
    g_autofree char *disk = engine_disk_id(f, "a.img");
    char id[DLK_LEASE_ID_LENGTH + 1];

    set_program(f, script, "3600");
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");
    g_autofree char *token = g_strdup_printf("%" G_GUINT64_FORMAT, lease->token);
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
    engine_break(f, lease);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);

    g_assert_true(g_file_get_contents(out, &text, NULL, NULL));
    dlk_lease_id_format(&lease->id, id);
    assert_says(text, "DISKLOCK_LEASE", id);
    assert_says(text, "DISKLOCK_DISK", disk);
    assert_says(text, "DISKLOCK_PATH", engine_image(f, "a.img"));
    assert_says(text, "DISKLOCK_MODE", "exclusive");
    assert_says(text, "DISKLOCK_BACKEND", "fake");
    assert_says(text, "DISKLOCK_OWNER", "web01");
    assert_says(text, "DISKLOCK_OWNER_UUID", "");
    assert_says(text, "DISKLOCK_UID", "0");
    assert_says(text, "DISKLOCK_PID", pid);
    assert_says(text, "DISKLOCK_TOKEN", token);
    assert_says(text, "DISKLOCK_REASON", "revoked");
    assert_says(text, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    assert_says(text, "PWD", "/");
    g_assert_null(strstr(text, "HOME="));
}

static void
test_program_has_nothing_of_the_service(EngineFixture *f, gconstpointer data)
{
    g_autofree char *out = scratch_path(&f->scratch, "out");
    g_autofree char *script = g_strdup_printf(
        "#!/bin/sh\nexec > %s\nls /proc/$$/fd; readlink /proc/$$/fd/0; ulimit -n; env | wc -l\n", out);
    g_autofree char *text = NULL;

    set_program(f, script, "3600");
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_break(f, lease);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    g_assert_true(g_file_get_contents(out, &text, NULL, NULL));
    /* 10 is the script, which the shell reads; of the variables, PWD is the shell's. */
    g_assert_cmpstr(text, ==, "0\n1\n10\n2\n/dev/null\n1024\n13\n");
}

static void
test_program_that_takes_too_long_is_killed_with_all_it_started(EngineFixture *f, gconstpointer data)
{
    g_autofree char *out = scratch_path(&f->scratch, "out");
    g_autofree char *script = g_strdup_printf("#!/bin/sh\nsleep 3600 &\necho $! > %s\nwait\n", out);
    g_autofree char *text = NULL;

    set_program(f, script, "1");
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_break(f, lease);
    engine_wait_until(dlk_holding(lease)->action_failed);
    g_assert_true(g_file_get_contents(out, &text, NULL, NULL));
    const pid_t child = (pid_t)g_ascii_strtoll(text, NULL, 10);
    g_assert_cmpint(child, >, 1);
    engine_wait_until(kill(child, 0) < 0 || other_process_state(child) == 'Z');
    engine_release(f, lease);
}

static void
test_disk_stays_closed_while_the_program_runs(EngineFixture *f, gconstpointer data)
{
    g_autofree char *go_on = scratch_path(&f->scratch, "go-on");
    g_autofree char *script = g_strdup_printf("#!/bin/sh\nuntil [ -e %s ]; do sleep 0.1; done\n", go_on);

    set_program(f, script, "3600");
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_break(f, lease);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "whose lease is broken");
    g_file_set_contents(go_on, "", 0, NULL);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_release_waits_for_the_program(EngineFixture *f, gconstpointer data)
{
    set_program(f, "#!/bin/sh\nexec sleep 3600\n", "2");
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_break(f, lease);
    engine_release(f, lease);
    engine_wait_until(dlk_table_count(dlk_engine_table(f->engine)) == 0);
}

/* @script fails, or is NULL: there is no such program. Whoever it was to stop may still write. */
static void
check_program_that_stops_nobody(EngineFixture *f, const char *script)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);

    set_program(f, script, "1");
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "exec");
    engine_break(f, lease);
    engine_wait_until(dlk_holding(lease)->action_failed);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY,
                   "whose lease is broken and whose on-break program has failed");
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY,
                   "; stop that process, then: disklockctl release ");
    kill(process.pid, SIGKILL);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
    engine_release(f, lease);
}

static void
test_program_that_fails_or_is_missing_keeps_the_disk_closed(EngineFixture *f, gconstpointer data)
{
    check_program_that_stops_nobody(f, NULL);
    check_program_that_stops_nobody(f, "#!/bin/sh\nexit 3\n");
    check_program_that_stops_nobody(f, "#!/bin/sh\nexec sleep 3600\n");
}

static void
test_release_after_a_program_that_failed_frees_the_disk(EngineFixture *f, gconstpointer data)
{
    set_program(f, NULL, "3600");
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    engine_break(f, lease);
    engine_release(f, lease);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_process_that_ends_while_the_program_runs_frees_nothing_yet(EngineFixture *f, gconstpointer data)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);

    set_program(f, "#!/bin/sh\nexec sleep 3600\n", "2");
    DlkLease *lease = engine_acquire_for(f, &process, "a.img", "exec");
    engine_break(f, lease);
    kill(process.pid, SIGKILL);
    engine_wait_until(lease->process == NULL);
    g_assert_true(lease->phase == DLK_PHASE_HELD || lease->phase == DLK_PHASE_BROKEN);
    engine_wait_until(lease->phase == DLK_PHASE_BROKEN);
}

static void
test_of_more_than_a_thousand_broken_leases_the_oldest_goes(EngineFixture *f, gconstpointer data)
{
    DlkLease *first = NULL, *second = NULL;

    for (guint i = 0; i <= 1000; i++) {
        DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'backend': <'host'>}");

        engine_break(f, lease);
        second = i == 1 ? lease : second;
        first = i == 0 ? lease : first;
        g_assert_cmpuint(dlk_table_count(dlk_engine_table(f->engine)), ==, MIN(i + 1, 1000));
    }
    g_assert_null(dlk_table_find(dlk_engine_table(f->engine), &first->id));
    g_assert_true(dlk_table_find(dlk_engine_table(f->engine), &second->id) == second);
    g_assert_true(engine_has_event(f, "released a.img"));
}

#define ADD(name, policy, test) engine_add("/engine-break/" name, policy, test)

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    ADD("stays-readable", NULL, test_broken_lease_stays_readable_and_keeps_nobody_out);
    ADD("once", NULL, test_lease_breaks_once);
    ADD("serves-waiter", NULL, test_waiter_is_served_when_the_lease_breaks);
    ADD("signal", NULL, test_signal_touches_no_process);
    ADD("pause", NULL, test_pause_stops_the_process);
    ADD("kill", NULL, test_kill_ends_the_process_and_no_other);
    ADD("terminate", GRACE_LONG, test_terminate_ends_the_process);
    ADD("cannot-be-killed", GRACE_SHORT, test_release_frees_the_disk_of_a_process_that_cannot_be_killed);
    ADD("terminate-stopped", GRACE_LONG, test_terminate_ends_who_stands_without_continuing_him);
    ADD("terminate-ignored", GRACE_SHORT, test_process_that_ignores_sigterm_is_killed_after_the_grace);
    ADD("closed-until-the-process-is-gone", GRACE_LONG, test_disk_stays_closed_until_the_process_is_gone);
    ADD("could-not-be-stopped", GRACE_LONG, test_who_is_refused_reads_that_the_process_could_not_be_stopped);
    ADD("release-does-not-open", GRACE_LONG, test_release_does_not_open_the_disk_before_the_process_is_gone);
    ADD("caller-leaves", GRACE_SHORT, test_caller_who_leaves_does_not_save_the_process);
    ADD("process-ended-already", GRACE_LONG, test_process_that_has_ended_already_keeps_nothing_closed);
    ADD("exec-environment", NULL, test_program_gets_the_lease_in_its_environment);
    ADD("exec-has-nothing", NULL, test_program_has_nothing_of_the_service);
    ADD("exec-too-long", NULL, test_program_that_takes_too_long_is_killed_with_all_it_started);
    ADD("exec-closed-meanwhile", NULL, test_disk_stays_closed_while_the_program_runs);
    ADD("exec-release-meanwhile", NULL, test_release_waits_for_the_program);
    ADD("exec-fails", NULL, test_program_that_fails_or_is_missing_keeps_the_disk_closed);
    ADD("exec-fails-and-release", NULL, test_release_after_a_program_that_failed_frees_the_disk);
    ADD("exec-process-ends-meanwhile", NULL, test_process_that_ends_while_the_program_runs_frees_nothing_yet);
    ADD("more-than-a-thousand", NULL, test_of_more_than_a_thousand_broken_leases_the_oldest_goes);
    return g_test_run();
}
