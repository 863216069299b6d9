#include "backend/image-locks.h"
#include "image-fixture.h"

#include <string.h>

static void
test_held_lock_is_found_held_in_every_mode(Image *image, gconstpointer data)
{
    for (DlkMode mode = 0; mode < DLK_N_MODES; mode++) {
        g_autoptr(DlkHold) hold = image_take(image, mode, TRUE);
        image_assert_check(hold, DLK_CHECK_HELD, NULL);
        image_give_back(hold);
    }
}

static void
test_readers_beside_each_other_are_not_taken_for_a_loss(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) reader = image_take(image, DLK_MODE_READ_ONLY, FALSE);
    g_autoptr(DlkHold) shared = image_take(image, DLK_MODE_SHARED, FALSE);
    G_GNUC_UNUSED g_auto(OtherProcess) other =
        image_lock_elsewhere(image, "virtlockd", F_SETLK, F_RDLCK, 0, 0);
    image_assert_check(reader, DLK_CHECK_HELD, NULL);
    image_assert_check(shared, DLK_CHECK_HELD, NULL);
}

static void
test_lock_that_another_has_taken_is_lost(Image *image, gconstpointer data)
{
    for (DlkMode mode = 0; mode < DLK_N_MODES; mode++) {
        g_autoptr(DlkHold) hold = image_take(image, mode, FALSE);
        g_assert_true(dlk_image_locks_clear(hold->fd)); /* as an administrator of the server may */
        G_GNUC_UNUSED g_auto(OtherProcess) thief =
            image_lock_elsewhere(image, "thief", F_OFD_SETLK, F_WRLCK, 0, 0);
        image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    }
}

static void
test_released_hold_is_not_held(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_SHARED, FALSE);
    image_give_back(hold);
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_NOT_LOCKED);
}

static void
test_replaced_file_is_lost(Image *image, gconstpointer data)
{
    g_autofree char *other = image_sibling(image, "other.img");
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, FALSE);
    g_autofree char *kept = image_sibling(image, "kept.img");
    image_write(other);
    g_assert_cmpint(link(image->path, kept), ==, 0);
    g_assert_cmpint(rename(other, image->path), ==, 0);
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_REPLACED);
}

static void
test_name_that_is_watched_is_looked_at_now_and_then_or_when_something_is_heard(Image *image,
                                                                               gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, FALSE);
    g_autofree char *kept = image_sibling(image, "kept.img");

    dlk_hold_set_name_watched(hold, TRUE);
    image_assert_check(hold, DLK_CHECK_HELD, NULL);
    g_assert_cmpint(link(image->path, kept), ==, 0);
    g_assert_cmpint(g_unlink(image->path), ==, 0);
    image_write(image->path);
    for (guint i = 0; i < DLK_HOLD_CHECKS_A_LOOK - 1; i++)
        image_assert_check(hold, DLK_CHECK_HELD, NULL);
    for (guint i = 0; i < 2; i++) /* what is wrong is looked at until it is not */
        image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_REPLACED);

    g_assert_cmpint(rename(kept, image->path), ==, 0);
    for (guint i = 0; i < 2; i++)
        image_assert_check(hold, DLK_CHECK_HELD, NULL);
    g_assert_cmpint(g_unlink(image->path), ==, 0);
    dlk_hold_look_at_name(hold);
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_DELETED);
}

static void
test_deleted_file_is_lost(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, FALSE);
    g_assert_cmpint(g_unlink(image->path), ==, 0);
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_DELETED);
}

static void
test_moved_file_is_still_held(Image *image, gconstpointer data)
{
    g_autofree char *other = image_sibling(image, "moved.img");
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, FALSE);
    g_assert_cmpint(rename(image->path, other), ==, 0);
    image_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_symlink_in_place_of_the_file_is_a_replacement(Image *image, gconstpointer data)
{
    g_autofree char *other = image_sibling(image, "moved.img");
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, FALSE);
    g_assert_cmpint(rename(image->path, other), ==, 0);
    g_assert_cmpint(symlink("moved.img", image->path), ==, 0);
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_REPLACED);
}

static void
test_file_without_a_known_name_is_only_lost_when_deleted(Image *image, gconstpointer data)
{
    DlkBackend *backend = dlk_backends_get("fcntl");
    g_autoptr(DlkTarget) nameless =
        dlk_target_new(image->target->disk, open(image->path, O_PATH | O_CLOEXEC), -1, NULL);
    g_autoptr(DlkHold) hold = dlk_hold_new(backend, nameless, DLK_MODE_EXCLUSIVE, FALSE, 0);
    g_assert_true(dlk_backend_acquire(backend, hold, image->rule, NULL));
    g_autofree char *moved = image_sibling(image, "moved.img");
    g_assert_cmpint(rename(image->path, moved), ==, 0);
    image_assert_check(hold, DLK_CHECK_HELD, NULL);
    g_assert_cmpint(g_unlink(moved), ==, 0);
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_DELETED);
}

static void
test_storage_that_answers_with_an_error_is_unknown(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, FALSE);
    g_autofree char *reason = NULL;
    g_autofree char *expected = g_strconcat(DLK_REASON_STORAGE_ERROR, g_strerror(EBADF), NULL);
    dlk_autofd without_locks = open(image->path, O_PATH | O_CLOEXEC); /* answers no question about locks */
    const int locked = hold->fd;
    hold->fd = without_locks;
    const DlkCheck answer = dlk_backend_check(hold->backend, hold, &reason);
    hold->fd = locked;
    g_assert_cmpint((gint)answer, ==, (gint)DLK_CHECK_UNKNOWN);
    g_assert_cmpstr(reason, ==, expected);
}

static void
test_reasons_name_no_path(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, FALSE);
    g_autofree char *reason = NULL;
    g_assert_cmpint(g_unlink(image->path), ==, 0);
    dlk_backend_check(hold->backend, hold, &reason);
    g_assert_null(strchr(reason, '/'));
}

static void
add(const char *path, void (*test)(Image *, gconstpointer))
{
    g_test_add(path, Image, NULL, image_set_up, test, image_tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/check/held-lock-is-found-held-in-every-mode", test_held_lock_is_found_held_in_every_mode);
    add("/check/readers-beside-each-other-are-not-taken-for-a-loss",
        test_readers_beside_each_other_are_not_taken_for_a_loss);
    add("/check/lock-that-another-has-taken-is-lost", test_lock_that_another_has_taken_is_lost);
    add("/check/released-hold-is-not-held", test_released_hold_is_not_held);
    add("/check/replaced-file-is-lost", test_replaced_file_is_lost);
    add("/check/watched-name",
        test_name_that_is_watched_is_looked_at_now_and_then_or_when_something_is_heard);
    add("/check/deleted-file-is-lost", test_deleted_file_is_lost);
    add("/check/moved-file-is-still-held", test_moved_file_is_still_held);
    add("/check/symlink-in-place-of-the-file-is-a-replacement",
        test_symlink_in_place_of_the_file_is_a_replacement);
    add("/check/file-without-a-known-name-is-only-lost-when-deleted",
        test_file_without_a_known_name_is_only_lost_when_deleted);
    add("/check/storage-that-answers-with-an-error-is-unknown",
        test_storage_that_answers_with_an_error_is_unknown);
    add("/check/reasons-name-no-path", test_reasons_name_no_path);
    return g_test_run();
}
