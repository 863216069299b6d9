#include "backend/foreign.h"
#include "backend/image-locks.h"
#include "backend/lease-locks.h"
#include "backend/shared-locks.h"
#include "image-fixture.h"

/* What the backend fcntl does with a disk that it takes for one on CIFS, and which is on a local filesystem
 * here. */

#define TOGETHER FALSE
#define STRICT TRUE

static void
set_up(Image *image, gconstpointer data)
{
    image_set_up(image, data);
    g_free(image->target->disk->filesystem);
    image->target->disk->filesystem = g_strdup("cifs");
}

/* What somebody else would meet there. */
static DlkByteState
state_of(Image *image, guint64 byte)
{
    dlk_autofd fd = open(image->path, O_RDWR | O_CLOEXEC);
    return dlk_image_locks_ask(fd, byte, byte, NULL);
}

static void
assert_unsupported(gboolean done, GError **error, const char *text)
{
    g_assert_false(done);
    g_assert_error(*error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr((*error)->message, text));
    g_clear_error(error);
}

static void
test_locks_lie_behind_the_end_of_every_image(Image *image, gconstpointer data)
{
    static const DlkByteState states[] = {[DLK_MODE_EXCLUSIVE] = DLK_BYTE_WRITE_LOCKED,
                                          [DLK_MODE_SHARED] = DLK_BYTE_READ_LOCKED,
                                          [DLK_MODE_READ_ONLY] = DLK_BYTE_READ_LOCKED};
    for (DlkMode mode = DLK_MODE_EXCLUSIVE; mode <= DLK_MODE_READ_ONLY; mode++) {
        g_autoptr(DlkHold) hold = image_take(image, mode, TOGETHER);
        dlk_autofd other = open(image->path, O_RDWR | O_CLOEXEC);
        g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, (gint)states[mode]);
        g_assert_cmpint((gint)dlk_image_locks_ask(other, 0, DLK_BYTES_BEYOND - 1, NULL), ==, DLK_BYTE_FREE);
        image_assert_check(hold, DLK_CHECK_HELD, NULL);
        image_give_back(hold);
        g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, DLK_BYTE_FREE);
    }
}

static void
test_who_has_taken_it_is_seen(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_SHARED, TOGETHER);
    dlk_autofd other = open(image->path, O_RDWR | O_CLOEXEC);
    g_assert_true(dlk_image_locks_clear(hold->fd)); /* as the server may */
    image_assert_check(hold, DLK_CHECK_HELD, NULL);
    g_assert_true(dlk_image_locks_set(other, DLK_BYTES_BEYOND, F_WRLCK));
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_REVOKED);
}

static void
test_who_has_taken_it_is_not_known_of_storage_that_is_away(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_SHARED, TOGETHER);
    dlk_autofd other = open(image->path, O_RDWR | O_CLOEXEC);
    g_autofree char *reason = NULL;
    g_assert_true(dlk_image_locks_clear(hold->fd));
    g_assert_true(dlk_image_locks_set(other, DLK_BYTES_BEYOND, F_WRLCK));
    /* Nobody can open it so. */
    g_assert_cmpint((gint)dlk_lease_locks_check_mandatory(hold->fd, "no-such-user", &reason), ==,
                    DLK_CHECK_UNKNOWN);
    g_assert_true(g_str_has_prefix(reason, DLK_REASON_STORAGE_ERROR));
}

static void
test_who_is_refused_is_told_that_it_is_busy(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    g_autoptr(GError) error = NULL;
    g_assert_null(image_try(image, DLK_MODE_SHARED, TOGETHER, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    image_give_back(hold);
}

static void
test_lock_belongs_to_no_process_that_could_close_it_away(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    close(fcntl(hold->fd, F_DUPFD_CLOEXEC, 0));
    g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, DLK_BYTE_WRITE_LOCKED);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1); /* nor is there a helper left */
    g_assert_cmpint(errno, ==, ECHILD);
    image_give_back(hold);
}

static void
test_kind_of_lock_cannot_be_changed(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    g_autoptr(GError) error = NULL;
    assert_unsupported(dlk_backend_convert(hold->backend, hold, DLK_MODE_SHARED, &error), &error, "CIFS");
    g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, DLK_BYTE_WRITE_LOCKED);
    image_give_back(hold);
    g_autoptr(DlkHold) reader = image_take(image, DLK_MODE_READ_ONLY, TOGETHER);
    g_assert_true(dlk_backend_convert(reader->backend, reader, DLK_MODE_SHARED, NULL));
    g_assert_cmpint((gint)reader->mode, ==, (gint)DLK_MODE_SHARED);
    assert_unsupported(dlk_backend_convert(reader->backend, reader, DLK_MODE_EXCLUSIVE, &error), &error,
                       "CIFS");
    g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, DLK_BYTE_READ_LOCKED);
    image_give_back(reader);
}

static void
test_strict_readers_are_refused(Image *image, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    assert_unsupported(image_try(image, DLK_MODE_READ_ONLY, STRICT, &error) != NULL, &error,
                       "readers=strict");
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, STRICT);
    image_give_back(hold);
}

static void
test_descriptor_of_an_earlier_run_is_adopted_without_locking_again(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) before = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    g_autoptr(DlkTarget) target = image_open_again(image);
    g_autoptr(DlkHold) after = dlk_hold_new(before->backend, target, DLK_MODE_EXCLUSIVE, TOGETHER, 0);
    g_autoptr(GError) error = NULL;
    int fds[DLK_HOLD_PARTS] = {fcntl(before->fd, F_DUPFD_CLOEXEC, 0), -1};
    dlk_backend_adopt(before->backend, after, fds, image->rule, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fds[0], ==, -1);
    image_assert_check(after, DLK_CHECK_HELD, NULL);
    g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, DLK_BYTE_WRITE_LOCKED);
    image_give_back(after);
    g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, DLK_BYTE_FREE);
}

static void
test_what_is_on_the_bytes_of_the_image_is_not_asked_after(Image *image, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    dlk_autofd unseen = open(image->path, O_RDWR | O_CLOEXEC);
    g_assert_true(dlk_image_locks_set(unseen, DLK_BYTE_QEMU_WRITES, F_RDLCK));
    g_autoptr(GPtrArray) none = dlk_foreign_find(image->target, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(none->len, ==, 0);
    OtherProcess qemu = image_lock_elsewhere(image, "qemu", F_OFD_SETLK, F_RDLCK, 100, 101);
    g_autoptr(GPtrArray) found = dlk_foreign_find(image->target, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(found->len, ==, 1);
    g_assert_cmpstr(((DlkForeign *)found->pdata[0])->what, ==, "qemu");
    other_process_stop(&qemu);
}

static void
test_without_byte_range_locks_it_is_as_any_other(Image *image, gconstpointer data)
{
    image->target->disk->lock_limit = g_ref_string_new("nobrl");
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    g_assert_cmpint((gint)state_of(image, DLK_BYTE_LEASE), ==, DLK_BYTE_WRITE_LOCKED);
    g_assert_cmpint((gint)state_of(image, DLK_BYTES_BEYOND), ==, DLK_BYTE_FREE);
    image_give_back(hold);
}

static void
test_where_a_loss_may_go_unseen_it_is_said(void)
{
    static const char *const unseen[] = {"nfs",    "cifs", "smb3",           "ceph",
                                         "lustre", "gpfs", "fuse.glusterfs", "fuse.ceph"};
    static const char *const seen[] = {"nfs4", "gfs2", "ocfs2"};
    for (guint i = 0; i < G_N_ELEMENTS(unseen); i++) {
        g_autofree char *why = dlk_shared_locks_unseen_loss(unseen[i]);
        g_assert_nonnull(why);
    }
    for (guint i = 0; i < G_N_ELEMENTS(seen); i++)
        g_assert_null(dlk_shared_locks_unseen_loss(seen[i]));
}

static void
add(const char *path, void (*test)(Image *, gconstpointer))
{
    g_test_add(path, Image, NULL, set_up, test, image_tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/mandatory/locks-lie-behind-the-end-of-every-image", test_locks_lie_behind_the_end_of_every_image);
    add("/mandatory/who-has-taken-it-is-seen", test_who_has_taken_it_is_seen);
    add("/mandatory/who-has-taken-it-is-not-known-of-storage-that-is-away",
        test_who_has_taken_it_is_not_known_of_storage_that_is_away);
    add("/mandatory/who-is-refused-is-told-that-it-is-busy", test_who_is_refused_is_told_that_it_is_busy);
    add("/mandatory/lock-belongs-to-no-process-that-could-close-it-away",
        test_lock_belongs_to_no_process_that_could_close_it_away);
    add("/mandatory/kind-of-lock-cannot-be-changed", test_kind_of_lock_cannot_be_changed);
    add("/mandatory/strict-readers-are-refused", test_strict_readers_are_refused);
    add("/mandatory/descriptor-of-an-earlier-run-is-adopted-without-locking-again",
        test_descriptor_of_an_earlier_run_is_adopted_without_locking_again);
    add("/mandatory/what-is-on-the-bytes-of-the-image-is-not-asked-after",
        test_what_is_on_the_bytes_of_the_image_is_not_asked_after);
    add("/mandatory/without-byte-range-locks-it-is-as-any-other",
        test_without_byte_range_locks_it_is_as_any_other);
    g_test_add_func("/mandatory/where-a-loss-may-go-unseen-it-is-said",
                    test_where_a_loss_may_go_unseen_it_is_said);
    return g_test_run();
}
