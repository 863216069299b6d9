#include "backend/fake.h"

#include <glib/gstdio.h>

#define PATIENCE (30 * G_TIME_SPAN_SECOND)

typedef struct {
    char *folder;
    DlkFakeBackend *fake;
    DlkBackend *backend; /* the same */
    DlkTarget *target;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_NETWORK, "network:1");
    f->folder = g_dir_make_tmp("disklock-test-XXXXXX", &error);
    g_assert_no_error(error);
    g_setenv("DISKLOCK_FAKE_DIR", f->folder, TRUE);
    f->fake = dlk_fake_backend_new();
    f->backend = DLK_BACKEND(f->fake);
    f->target = dlk_target_new(disk, -1, -1, NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(g_rmdir(f->folder), ==, 0);
    dlk_target_unref(f->target);
    g_object_unref(f->backend);
    g_free(f->folder);
}

static void
say(Fixture *f, const char *call, const char *text)
{
    g_autofree char *path = g_build_filename(f->folder, call, NULL);
    if (text == NULL)
        g_assert_cmpint(g_unlink(path), ==, 0);
    else
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static DlkHold *
new_hold(Fixture *f, DlkMode mode)
{
    return dlk_hold_new(f->backend, f->target, mode, FALSE, 0);
}

static void
assert_acquired(Fixture *f, DlkHold *hold)
{
    g_autoptr(GError) error = NULL;
    dlk_backend_acquire(f->backend, hold, NULL, &error);
    g_assert_no_error(error);
}

static void
assert_acquire_fails(Fixture *f, DlkHold *hold, DlkError code, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(dlk_backend_acquire(f->backend, hold, NULL, &error));
    g_assert_error(error, DLK_ERROR, (gint)code);
    g_assert_cmpstr(error->message, ==, message);
}

static void
assert_released(Fixture *f, DlkHold *hold)
{
    g_autoptr(GError) error = NULL;
    dlk_backend_release(f->backend, hold, &error);
    g_assert_no_error(error);
}

static void
assert_check(Fixture *f, DlkHold *hold, DlkCheck expected, const char *expected_reason)
{
    g_autofree char *reason = NULL;
    g_assert_cmpint((gint)dlk_backend_check(f->backend, hold, &reason), ==, (gint)expected);
    g_assert_cmpstr(reason, ==, expected_reason);
}

static void
test_counts_what_is_held(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) first = new_hold(f, DLK_MODE_SHARED);
    g_autoptr(DlkHold) second = new_hold(f, DLK_MODE_SHARED);
    assert_acquired(f, first);
    assert_acquired(f, second);
    g_assert_cmpuint(dlk_fake_backend_held(f->fake, "network:1"), ==, 2);
    g_assert_cmpuint(dlk_fake_backend_held(f->fake, "network:2"), ==, 0);
    assert_released(f, first);
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 1);
    assert_released(f, second);
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 0);
    g_assert_cmpuint(dlk_fake_backend_calls(f->fake, DLK_FAKE_ACQUIRE), ==, 2);
}

static void
test_refuses_what_its_own_locks_exclude(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) first = new_hold(f, DLK_MODE_EXCLUSIVE);
    g_autoptr(DlkHold) second = new_hold(f, DLK_MODE_SHARED);
    assert_acquired(f, first);
    assert_acquire_fails(f, second, DLK_ERROR_BUSY, "network:1 is already locked by this very backend");
    g_assert_true(dlk_backend_convert(f->backend, first, DLK_MODE_SHARED, NULL));
    assert_acquired(f, second);
    g_assert_false(dlk_backend_convert(f->backend, second, DLK_MODE_EXCLUSIVE, NULL));
    g_assert_cmpint((gint)second->mode, ==, (gint)DLK_MODE_SHARED);
    assert_released(f, first);
    assert_released(f, second);
}

static void
test_steps_are_taken_one_a_call_in_order(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    dlk_fake_backend_busy(f->fake, 2);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_ACQUIRE, DLK_ERROR_BACKEND_FAILED, "out of order");
    dlk_fake_backend_delay(f->fake, DLK_FAKE_ACQUIRE, 1);
    assert_acquire_fails(f, hold, DLK_ERROR_BUSY, "locked by another host");
    assert_acquire_fails(f, hold, DLK_ERROR_BUSY, "locked by another host");
    assert_acquire_fails(f, hold, DLK_ERROR_BACKEND_FAILED, "out of order");
    assert_acquired(f, hold);
    assert_released(f, hold);
}

static void
test_check_answers_as_told(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "no answer");
    dlk_fake_backend_answer(f->fake, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    assert_check(f, hold, DLK_CHECK_UNKNOWN, "no answer");
    assert_check(f, hold, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    assert_check(f, hold, DLK_CHECK_HELD, NULL);
}

static void
test_failed_release_leaves_the_lock(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    assert_acquired(f, hold);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_RELEASE, DLK_ERROR_BACKEND_FAILED, "jammed");
    g_assert_false(dlk_backend_release(f->backend, hold, NULL));
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 1);
    assert_released(f, hold);
}

static gpointer
acquire_in_thread(gpointer data)
{
    DlkHold *hold = data;
    return GINT_TO_POINTER(dlk_backend_acquire(hold->backend, hold, NULL, NULL));
}

static void
wait_until_hanging(Fixture *f, guint count)
{
    const gint64 deadline = g_get_monotonic_time() + PATIENCE;
    while (dlk_fake_backend_hanging(f->fake) != count) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(G_TIME_SPAN_MILLISECOND);
    }
}

static void
test_hanging_call_goes_on_when_told(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    GThread *thread = g_thread_new("acquire", acquire_in_thread, hold);
    wait_until_hanging(f, 1);
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 0);
    dlk_fake_backend_go_on(f->fake);
    g_assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    g_assert_cmpuint(dlk_fake_backend_hanging(f->fake), ==, 0);
    assert_released(f, hold);
}

static void
test_reset_forgets_steps_and_frees_who_hangs(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_RELEASE, DLK_ERROR_BACKEND_FAILED, "jammed");
    GThread *thread = g_thread_new("acquire", acquire_in_thread, hold);
    wait_until_hanging(f, 1);
    dlk_fake_backend_reset(f->fake);
    g_assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    assert_released(f, hold);
}

static void
test_files_tell_it_what_to_do(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    say(f, "acquire", "fail it is broken\n");
    assert_acquire_fails(f, hold, DLK_ERROR_BACKEND_FAILED, "it is broken");
    say(f, "acquire", "busy locked elsewhere\n");
    assert_acquire_fails(f, hold, DLK_ERROR_BUSY, "locked elsewhere");
    assert_acquire_fails(f, hold, DLK_ERROR_BUSY, "locked elsewhere"); /* as long as the file is there */
    say(f, "acquire", "delay 1\n");
    assert_acquired(f, hold);
    say(f, "acquire", NULL);
    say(f, "check", "lost\n");
    assert_check(f, hold, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    say(f, "check", "unknown the server is away\n");
    assert_check(f, hold, DLK_CHECK_UNKNOWN, "the server is away");
    say(f, "check", NULL);
    assert_check(f, hold, DLK_CHECK_HELD, NULL);
    assert_released(f, hold);
}

static void
test_file_that_says_nonsense_is_an_error(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    say(f, "acquire", "lost");
    assert_acquire_fails(f, hold, DLK_ERROR_BACKEND_FAILED,
                         "the fake backend does not know what \"lost\" means for acquire");
    say(f, "acquire", NULL);
}

static void
test_call_hangs_as_long_as_the_file_says_so(Fixture *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = new_hold(f, DLK_MODE_EXCLUSIVE);
    say(f, "acquire", "hang");
    GThread *thread = g_thread_new("acquire", acquire_in_thread, hold);
    wait_until_hanging(f, 1);
    say(f, "acquire", NULL);
    g_assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    assert_released(f, hold);
}

static void
add(const char *path, void (*test)(Fixture *, gconstpointer))
{
    g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/fake/counts-what-is-held", test_counts_what_is_held);
    add("/fake/refuses-what-its-own-locks-exclude", test_refuses_what_its_own_locks_exclude);
    add("/fake/steps-are-taken-one-a-call-in-order", test_steps_are_taken_one_a_call_in_order);
    add("/fake/check-answers-as-told", test_check_answers_as_told);
    add("/fake/failed-release-leaves-the-lock", test_failed_release_leaves_the_lock);
    add("/fake/hanging-call-goes-on-when-told", test_hanging_call_goes_on_when_told);
    add("/fake/reset-forgets-steps-and-frees-who-hangs", test_reset_forgets_steps_and_frees_who_hangs);
    add("/fake/files-tell-it-what-to-do", test_files_tell_it_what_to_do);
    add("/fake/file-that-says-nonsense-is-an-error", test_file_that_says_nonsense_is_an_error);
    add("/fake/call-hangs-as-long-as-the-file-says-so", test_call_hangs_as_long_as_the_file_says_so);
    return g_test_run();
}
