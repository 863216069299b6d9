#include "base/error.h"
#include "base/fd.h"
#include "base/pid-ref.h"
#include "other-process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>

static DlkPidRef *
ref_to(const OtherProcess *process)
{
    g_autoptr(GError) error = NULL;
    DlkPidRef *ref = dlk_pid_ref_new(process->pid, &error);
    g_assert_no_error(error);
    return ref;
}

static void
test_knows_pid_uid_and_command(void)
{
    g_auto(OtherProcess) process = other_process_start("a name", NULL, NULL);
    g_autoptr(DlkPidRef) ref = ref_to(&process);
    g_assert_cmpint(dlk_pid_ref_pid(ref), ==, process.pid);
    g_assert_cmpuint(dlk_pid_ref_uid(ref), ==, getuid());
    g_autofree char *command = dlk_pid_ref_command(ref);
    g_assert_cmpstr(command, ==, "a name");
    g_assert_true(dlk_pid_ref_is_alive(ref));
}

static void
test_hostile_command_is_made_printable(void)
{
    g_auto(OtherProcess) process = other_process_start("x\nUid:\t0\t\xff", NULL, NULL);
    g_autoptr(DlkPidRef) ref = ref_to(&process);
    g_autofree char *command = dlk_pid_ref_command(ref);
    g_assert_cmpstr(command, ==, "x\\x0aUid:\\x090\\x09\\xff");
    g_assert_cmpuint(dlk_pid_ref_uid(ref), ==, getuid());
}

static void
test_command_is_what_the_process_is_now(void)
{
    char before[16];
    g_assert_no_errno(prctl(PR_GET_NAME, before));
    g_autoptr(DlkPidRef) ref = dlk_pid_ref_new(getpid(), NULL);
    g_assert_no_errno(prctl(PR_SET_NAME, "another name"));
    g_autofree char *command = dlk_pid_ref_command(ref);
    g_assert_no_errno(prctl(PR_SET_NAME, before));
    g_assert_cmpstr(command, ==, "another name");
}

static void
test_command_of_an_ended_process_is_remembered(void)
{
    OtherProcess process = other_process_start("a name", NULL, NULL);
    g_autoptr(DlkPidRef) ref = ref_to(&process);
    other_process_stop(&process);
    g_autofree char *command = dlk_pid_ref_command(ref);
    g_assert_cmpstr(command, ==, "a name");
}

static void
test_the_end_shows_before_the_parent_has_looked(void)
{
    g_auto(OtherProcess) process = other_process_start("other", NULL, NULL);
    g_autoptr(DlkPidRef) ref = ref_to(&process);
    struct pollfd poll_fd = {.fd = dlk_pid_ref_fd(ref), .events = POLLIN};
    kill(process.pid, SIGKILL);
    g_assert_cmpint(poll(&poll_fd, 1, 30000), ==, 1);
    g_assert_false(dlk_pid_ref_is_alive(ref));
}

static void
test_signal_reaches_the_process(void)
{
    OtherProcess process = other_process_start("other", NULL, NULL);
    g_autoptr(DlkPidRef) ref = ref_to(&process);
    int status = 0;
    g_assert_true(dlk_pid_ref_signal(ref, SIGTERM));
    g_assert_cmpint(waitpid(process.pid, &status, 0), ==, process.pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* A child that gets the number @pid, which must be free. */
static OtherProcess
start_with_pid(pid_t pid)
{
    struct clone_args arguments = {
        .exit_signal = SIGCHLD, .set_tid = (guint64)(gsize)&pid, .set_tid_size = 1};
    const long started = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (started == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    g_assert_cmpint(started, ==, pid);
    return (OtherProcess){pid};
}

static void
test_reused_pid_is_not_its_predecessor(void)
{
    OtherProcess first = other_process_start("first", NULL, NULL);
    const pid_t pid = first.pid;
    g_autoptr(DlkPidRef) ref = ref_to(&first);
    other_process_stop(&first);
    g_auto(OtherProcess) second = start_with_pid(pid);
    g_autoptr(DlkPidRef) second_ref = ref_to(&second);
    g_assert_false(dlk_pid_ref_is_alive(ref));
    g_assert_false(dlk_pid_ref_signal(ref, SIGKILL));
    g_assert_cmpint(errno, ==, ESRCH);
    g_assert_true(dlk_pid_ref_is_alive(second_ref));
}

static void
assert_refused(DlkPidRef *ref, GError **error)
{
    g_assert_null(ref);
    g_assert_error(*error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
}

static void
test_number_without_process_is_refused(void)
{
    OtherProcess process = other_process_start("other", NULL, NULL);
    const pid_t gone = process.pid;
    other_process_stop(&process);
    const pid_t pids[] = {gone, 0, -1, -gone};
    for (guint i = 0; i < G_N_ELEMENTS(pids); i++) {
        g_autoptr(GError) error = NULL;
        assert_refused(dlk_pid_ref_new(pids[i], &error), &error);
    }
}

static void
test_process_that_waits_for_its_parent_is_refused(void)
{
    g_auto(OtherProcess) process = other_process_start("other", NULL, NULL);
    siginfo_t info;
    kill(process.pid, SIGKILL);
    g_assert_cmpint(waitid(P_PID, (id_t)process.pid, &info, WEXITED | WNOWAIT), ==, 0);
    g_autoptr(GError) error = NULL;
    assert_refused(dlk_pid_ref_new(process.pid, &error), &error);
}

static void
test_pidfd_leads_to_its_process(void)
{
    g_auto(OtherProcess) process = other_process_start("other", NULL, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPidRef) ref = dlk_pid_ref_new_for_pidfd(pidfd_open(process.pid, 0), &error);
    g_assert_no_error(error);
    g_assert_cmpint(dlk_pid_ref_pid(ref), ==, process.pid);
}

/* It may be of a thread (PIDFD_THREAD, since Linux 6.9): by that, no signal reaches the process once that
 * thread has ended. */
static void
test_pidfd_that_was_passed_is_not_kept(void)
{
    g_auto(OtherProcess) process = other_process_start("vm", NULL, NULL);
    g_autoptr(GError) error = NULL;
    const int pidfd = pidfd_open(process.pid, 0);
    g_autoptr(DlkPidRef) ref = dlk_pid_ref_new_for_pidfd(pidfd, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fcntl(pidfd, F_GETFD), ==, -1);
    g_assert_cmpint(dlk_pid_ref_fd(ref), !=, pidfd);
    g_assert_true(dlk_pid_ref_is_alive(ref));
}

static void
test_pidfd_of_an_ended_process_is_refused_and_closed(void)
{
    OtherProcess process = other_process_start("other", NULL, NULL);
    const int pidfd = pidfd_open(process.pid, 0);
    other_process_stop(&process);
    g_autoptr(GError) error = NULL;
    assert_refused(dlk_pid_ref_new_for_pidfd(pidfd, &error), &error);
    g_assert_cmpint(fcntl(pidfd, F_GETFD), ==, -1);
}

static void
test_other_descriptor_is_refused_and_closed(void)
{
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    assert_refused(dlk_pid_ref_new_for_pidfd(fd, &error), &error);
    g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
}

static void
test_descriptor_is_closed_with_the_last_reference(void)
{
    g_auto(OtherProcess) process = other_process_start("other", NULL, NULL);
    DlkPidRef *ref = ref_to(&process);
    const int pidfd = dlk_pid_ref_fd(ref);
    dlk_pid_ref_unref(dlk_pid_ref_ref(ref));
    g_assert_cmpint(fcntl(pidfd, F_GETFD), !=, -1);
    dlk_pid_ref_unref(ref);
    g_assert_cmpint(fcntl(pidfd, F_GETFD), ==, -1);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pid-ref/knows-pid-uid-and-command", test_knows_pid_uid_and_command);
    g_test_add_func("/pid-ref/hostile-command-is-made-printable", test_hostile_command_is_made_printable);
    g_test_add_func("/pid-ref/command-is-what-the-process-is-now", test_command_is_what_the_process_is_now);
    g_test_add_func("/pid-ref/command-of-an-ended-process-is-remembered",
                    test_command_of_an_ended_process_is_remembered);
    g_test_add_func("/pid-ref/the-end-shows-before-the-parent-has-looked",
                    test_the_end_shows_before_the_parent_has_looked);
    g_test_add_func("/pid-ref/signal-reaches-the-process", test_signal_reaches_the_process);
    g_test_add_func("/pid-ref/reused-pid-is-not-its-predecessor", test_reused_pid_is_not_its_predecessor);
    g_test_add_func("/pid-ref/number-without-process-is-refused", test_number_without_process_is_refused);
    g_test_add_func("/pid-ref/process-that-waits-for-its-parent-is-refused",
                    test_process_that_waits_for_its_parent_is_refused);
    g_test_add_func("/pid-ref/pidfd-leads-to-its-process", test_pidfd_leads_to_its_process);
    g_test_add_func("/pid-ref/pidfd-that-was-passed-is-not-kept", test_pidfd_that_was_passed_is_not_kept);
    g_test_add_func("/pid-ref/pidfd-of-an-ended-process-is-refused-and-closed",
                    test_pidfd_of_an_ended_process_is_refused_and_closed);
    g_test_add_func("/pid-ref/other-descriptor-is-refused-and-closed",
                    test_other_descriptor_is_refused_and_closed);
    g_test_add_func("/pid-ref/descriptor-is-closed-with-the-last-reference",
                    test_descriptor_is_closed_with_the_last_reference);
    return g_test_run();
}
