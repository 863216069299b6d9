#include "host/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    GMainContext *context;
    DlkWatcher *watcher;
    guint fired;
    int pipes[2][2]; /* read end, write end */
    DlkWatch *watches[2];
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->context = g_main_context_new();
    f->watcher = dlk_watcher_new(f->context, NULL);
    g_assert_nonnull(f->watcher);
    for (guint i = 0; i < 2; i++)
        g_assert_cmpint(pipe2(f->pipes[i], O_CLOEXEC), ==, 0);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    dlk_watcher_free(f->watcher);
    g_main_context_unref(f->context);
    for (guint i = 0; i < 4; i++)
        if (f->pipes[i / 2][i % 2] >= 0)
            close(f->pipes[i / 2][i % 2]);
}

static void
count(gpointer data)
{
    ((Fixture *)data)->fired++;
}

static void
close_write_end(Fixture *f, guint pipe)
{
    close(f->pipes[pipe][1]);
    f->pipes[pipe][1] = -1;
}

static void
assert_quiet(Fixture *f)
{
    g_assert_false(g_main_context_iteration(f->context, FALSE));
}

static void
run_until_fired(Fixture *f, guint times)
{
    while (f->fired < times)
        g_main_context_iteration(f->context, TRUE);
    assert_quiet(f);
}

static void
test_peer_that_goes_is_reported_once(Fixture *f, gconstpointer data)
{
    dlk_watcher_add(f->watcher, f->pipes[0][0], TRUE, count, f);
    assert_quiet(f);
    close_write_end(f, 0);
    run_until_fired(f, 1);
    g_assert_cmpuint(f->fired, ==, 1);
}

static void
test_data_is_no_hangup(Fixture *f, gconstpointer data)
{
    dlk_watcher_add(f->watcher, f->pipes[0][0], TRUE, count, f);
    g_assert_cmpint(write(f->pipes[0][1], "x", 1), ==, 1);
    assert_quiet(f);
    close_write_end(f, 0);
    run_until_fired(f, 1);
}

static void
test_process_that_ends_is_reported(Fixture *f, gconstpointer data)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    g_assert_cmpint(pidfd, >=, 0);
    dlk_watcher_add(f->watcher, pidfd, FALSE, count, f);
    assert_quiet(f);
    kill(pid, SIGKILL);
    run_until_fired(f, 1);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    close(pidfd);
}

static void
test_cancelled_is_not_reported(Fixture *f, gconstpointer data)
{
    DlkWatch *watch = dlk_watcher_add(f->watcher, f->pipes[0][0], TRUE, count, f);
    dlk_watcher_cancel(f->watcher, &watch);
    g_assert_null(watch);
    dlk_watcher_cancel(f->watcher, &watch);
    close_write_end(f, 0);
    assert_quiet(f);
}

static void
first_fired(gpointer data)
{
    Fixture *f = data;
    f->fired++;
    f->watches[0] = NULL;
    dlk_watcher_cancel(f->watcher, &f->watches[1]);
}

static void
second_fired(gpointer data)
{
    Fixture *f = data;
    f->fired++;
    f->watches[1] = NULL;
    dlk_watcher_cancel(f->watcher, &f->watches[0]);
}

static void
test_one_may_cancel_another_that_has_happened_too(Fixture *f, gconstpointer data)
{
    f->watches[0] = dlk_watcher_add(f->watcher, f->pipes[0][0], TRUE, first_fired, f);
    f->watches[1] = dlk_watcher_add(f->watcher, f->pipes[1][0], TRUE, second_fired, f);
    close_write_end(f, 0);
    close_write_end(f, 1);
    run_until_fired(f, 1);
    g_assert_cmpuint(f->fired, ==, 1);
}

static void
test_several_may_watch_one_descriptor(Fixture *f, gconstpointer data)
{
    f->watches[0] = dlk_watcher_add(f->watcher, f->pipes[0][0], TRUE, count, f);
    dlk_watcher_add(f->watcher, f->pipes[0][0], TRUE, count, f);
    dlk_watcher_add(f->watcher, f->pipes[0][0], FALSE, count, f);
    dlk_watcher_cancel(f->watcher, &f->watches[0]);
    close_write_end(f, 0);
    run_until_fired(f, 2);
    g_assert_cmpuint(f->fired, ==, 2);
}

static void
test_readable_one_leaves_the_hangup_one_waiting(Fixture *f, gconstpointer data)
{
    dlk_watcher_add(f->watcher, f->pipes[0][0], TRUE, count, f);
    dlk_watcher_add(f->watcher, f->pipes[0][0], FALSE, count, f);
    g_assert_cmpint(write(f->pipes[0][1], "x", 1), ==, 1);
    run_until_fired(f, 1);
    close_write_end(f, 0);
    run_until_fired(f, 2);
}

static void
test_what_cannot_be_watched_is_refused(Fixture *f, gconstpointer data)
{
    g_assert_null(dlk_watcher_add(f->watcher, -1, TRUE, count, f));
    g_assert_cmpint(errno, ==, EBADF);
}

#define TEST(name) g_test_add("/watcher/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(peer_that_goes_is_reported_once);
    TEST(data_is_no_hangup);
    TEST(process_that_ends_is_reported);
    TEST(cancelled_is_not_reported);
    TEST(one_may_cancel_another_that_has_happened_too);
    TEST(several_may_watch_one_descriptor);
    TEST(readable_one_leaves_the_hangup_one_waiting);
    TEST(what_cannot_be_watched_is_refused);
    return g_test_run();
}
