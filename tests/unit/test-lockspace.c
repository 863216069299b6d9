#include "backend/reach.h"
#include "lockspace-fixture.h"
#include "mounts-fixture.h"

#include <string.h>
#include <sys/stat.h>

static void
test_an_exclusive_lease_keeps_every_other_out(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "is");
    space_assert_refused(f, DLK_MODE_SHARED, DLK_ERROR_BUSY, "is");
    space_assert_refused(f, DLK_MODE_READ_ONLY, DLK_ERROR_BUSY, "is");
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_shared_and_read_only_leases_stand_together(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) writer = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    g_autoptr(DlkHold) other_writer = space_take(f, "beta", "web02", DLK_MODE_SHARED);
    g_autoptr(DlkHold) reader = space_take(f, "beta", "web03", DLK_MODE_READ_ONLY);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "is");
    space_assert_check(writer, DLK_CHECK_HELD, NULL);
    space_assert_check(other_writer, DLK_CHECK_HELD, NULL);
    space_assert_check(reader, DLK_CHECK_HELD, NULL);
}

static void
test_strict_readers_tolerate_no_writer(Space *f, gconstpointer data)
{
    f->rule->strict_readers = TRUE;
    g_autoptr(DlkHold) reader = space_take(f, "alpha", "web01", DLK_MODE_READ_ONLY);
    g_autoptr(DlkHold) other_reader = space_take(f, "beta", "web02", DLK_MODE_READ_ONLY);
    space_assert_refused(f, DLK_MODE_SHARED, DLK_ERROR_BUSY, "is");
}

static void
test_by_version_3_of_nfs_strict_readers_are_refused(Space *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    mounted_options = "local_lock=none";
    f->rule->strict_readers = TRUE;
    space_assert_refused(f, DLK_MODE_SHARED, DLK_ERROR_UNSUPPORTED, f->rule->lockspace);
    space_assert_refused(f, DLK_MODE_READ_ONLY, DLK_ERROR_UNSUPPORTED, "version 3 of NFS");
    g_autoptr(DlkHold) alone = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_false(dlk_backend_convert(f->backend, alone, DLK_MODE_SHARED, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    space_assert_check(alone, DLK_CHECK_HELD, NULL);
    space_give_back(alone);
    f->rule->strict_readers = FALSE;
    g_autoptr(DlkHold) together = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    mounted_options = NULL;
}

/* Whether a rule that asks for locks whose loss is always seen can have this one. */
static gboolean
suffices(Space *f, const char *options)
{
    g_autoptr(GError) error = NULL;
    mounted_options = options;
    const gboolean answer = dlk_reach_suffices(f->backend, f->target, f->rule, &error);
    mounted_options = NULL;
    if (!answer)
        g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    return answer;
}

static void
test_a_rule_may_refuse_a_folder_where_a_loss_is_not_seen(Space *f, gconstpointer data)
{
    g_assert_true(suffices(f, "local_lock=none"));
    f->rule->refuse_unseen_loss = TRUE;
    g_assert_false(suffices(f, "local_lock=none"));
    g_assert_true(suffices(f, "nolock"));
    g_assert_true(suffices(f, NULL));
}

static void
test_a_release_hands_over_and_leaves_the_file(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) first = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    dlk_autofd copy = fcntl(first->fd, F_DUPFD_CLOEXEC, 3); /* a copy elsewhere does not keep the lock */
    space_give_back(first);
    g_autoptr(DlkHold) second = space_take(f, "beta", "web02", DLK_MODE_EXCLUSIVE);
    space_assert_check(second, DLK_CHECK_HELD, NULL);
    space_assert_check(first, DLK_CHECK_LOST, DLK_REASON_NOT_LOCKED);
    g_assert_true(g_file_test(f->lock_file, G_FILE_TEST_EXISTS));
}

static void
test_a_mode_changes_where_nobody_is_in_the_way(Space *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_true(dlk_backend_convert(f->backend, hold, DLK_MODE_SHARED, &error));
    g_autoptr(DlkHold) other = space_take(f, "beta", "web02", DLK_MODE_SHARED);
    g_assert_false(dlk_backend_convert(f->backend, hold, DLK_MODE_EXCLUSIVE, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    g_assert_cmpint((gint)hold->mode, ==, (gint)DLK_MODE_SHARED);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_what_was_given_up_can_be_taken_again(Space *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    space_give_back(hold);
    g_assert_true(dlk_backend_acquire(f->backend, hold, f->rule, &error));
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    space_assert_refused(f, DLK_MODE_SHARED, DLK_ERROR_BUSY, "is");
}

static void
test_the_lock_file_is_for_root_alone_and_names_the_disk(Space *f, gconstpointer data)
{
    struct stat status;
    g_autofree char *text = NULL;
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(stat(f->lock_file, &status), ==, 0);
    g_assert_cmpint(status.st_mode, ==, S_IFREG | 0600);
    g_assert_true(g_file_get_contents(f->lock_file, &text, NULL, NULL));
    g_assert_true(g_str_has_prefix(text, "disklock-lock 1 " DISK_ID "\n"));
}

static void
test_a_lock_file_that_somebody_left_empty_names_the_disk(Space *f, gconstpointer data)
{
    g_autofree char *text = NULL;
    dlk_autofd unfinished = creat(f->lock_file, 0600);
    g_assert_cmpint(unfinished, >=, 0);
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_true(g_file_get_contents(f->lock_file, &text, NULL, NULL));
    g_assert_true(g_str_has_prefix(text, "disklock-lock 1 " DISK_ID "\n"));
}

static void
test_a_deleted_lock_file_is_a_lost_lock(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(g_unlink(f->lock_file), ==, 0);
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_FILE_GONE);
}

static void
test_a_replaced_lock_file_is_a_lost_lock(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(g_unlink(f->lock_file), ==, 0);
    g_autoptr(DlkHold) other = space_take(f, "beta", "web02", DLK_MODE_EXCLUSIVE);
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_FILE_GONE);
    space_assert_check(other, DLK_CHECK_HELD, NULL);
}

static void
test_a_folder_that_is_away_says_nothing_of_the_lock(Space *f, gconstpointer data)
{
    g_autofree char *elsewhere = scratch_path(&f->scratch, "elsewhere");
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(g_rename(f->rule->lockspace, elsewhere), ==, 0);
    space_assert_check(hold, DLK_CHECK_UNKNOWN, DLK_REASON_NO_LOCKSPACE);
    g_assert_cmpint(g_rename(elsewhere, f->rule->lockspace), ==, 0);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_a_folder_that_does_not_exist_is_refused_and_not_made(Space *f, gconstpointer data)
{
    g_assert_cmpint(g_rmdir(f->rule->lockspace), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "does not exist");
    g_assert_false(g_file_test(f->rule->lockspace, G_FILE_TEST_EXISTS));
}

static void
test_a_folder_that_others_may_write_is_refused(Space *f, gconstpointer data)
{
    g_assert_cmpint(g_chmod(f->rule->lockspace, 0770), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED,
                         "may be written by others than root");
    g_assert_cmpint(g_chmod(f->rule->lockspace, 0757), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED,
                         "may be written by others than root");
}

static void
test_a_folder_of_another_user_is_refused(Space *f, gconstpointer data)
{
    g_assert_cmpint(chown(f->rule->lockspace, 1000, 0), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "does not belong to root");
}

static void
test_a_folder_below_one_that_others_may_write_is_refused(Space *f, gconstpointer data)
{
    g_assert_cmpint(g_chmod(f->scratch.path, 0777), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "stands below a folder");
}

static void
test_a_link_to_a_folder_is_refused(Space *f, gconstpointer data)
{
    g_autofree char *link = scratch_link(&f->scratch, "link", f->rule->lockspace);
    g_free(g_steal_pointer(&f->rule->lockspace));
    f->rule->lockspace = g_steal_pointer(&link);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "a symbolic link");
}

static void
test_a_file_in_the_place_of_the_folder_is_refused(Space *f, gconstpointer data)
{
    g_free(g_steal_pointer(&f->rule->lockspace));
    f->rule->lockspace = scratch_file(&f->scratch, "file");
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "not a folder");
}

static void
test_a_folder_that_no_other_host_sees_is_refused_unless_the_rule_accepts_it(Space *f, gconstpointer data)
{
    f->rule->reach = DLK_REACH_UNSAID;
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "reach=host");
}

/* What others may have put in the place of the lock file: only root can, and then by mistake. */
/* Locks are mandatory there: nobody could read a record. */
static void
test_a_folder_on_cifs_is_refused_unless_its_locks_stay_here(Space *f, gconstpointer data)
{
    mounted_filesystem = "cifs";
    mounted_options = "rw";
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "CIFS");
    mounted_options = "nobrl";
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    mounted_options = NULL;
    mounted_filesystem = "nfs";
}

static void
test_what_is_no_lock_file_of_ours_is_refused(Space *f, gconstpointer data)
{
    g_autofree char *other = scratch_file(&f->scratch, "other");
    g_assert_cmpint(symlink(other, f->lock_file), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "is a symbolic link");
    g_assert_cmpint(g_unlink(f->lock_file), ==, 0);

    g_assert_cmpint(mkfifo(f->lock_file, 0600), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "is not a regular file");
    g_assert_cmpint(g_unlink(f->lock_file), ==, 0);

    g_assert_cmpint(link(other, f->lock_file), ==, 0);
    g_assert_cmpint(g_chmod(other, 0600), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "has a second name");
    g_assert_cmpint(g_unlink(other), ==, 0);

    g_assert_cmpint(g_chmod(f->lock_file, 0644), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "may be opened by others");
    g_assert_cmpint(g_chmod(f->lock_file, 0600), ==, 0);
    g_assert_cmpint(chown(f->lock_file, 1000, 0), ==, 0);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BACKEND_FAILED, "does not belong to root");
}

/* ---- which disks ---- */

static gboolean
can_lock(Space *f, DlkDisk *disk, int fd, GError **error)
{
    g_autoptr(DlkDisk) owned = disk;
    g_autoptr(DlkTarget) target = dlk_target_new(owned, fd, -1, NULL);
    return dlk_backend_probe(f->backend, target, f->rule, error);
}

static void
test_disks_with_an_identity_of_their_own_can_be_locked(Space *f, gconstpointer data)
{
    static const char *const blocks[] = {"wwid:naa.5000c500", "wwid:eui.01/part2", "lvm:abc-def", "md:0123"};
    static const char *const networks[] = {"network:iscsi://nas/iqn", "network:rbd:///pool/image"};
    for (guint i = 0; i < G_N_ELEMENTS(blocks); i++)
        g_assert_true(can_lock(f, dlk_disk_new(DLK_KIND_BLOCK, blocks[i]), -1, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(networks); i++)
        g_assert_true(can_lock(f, dlk_disk_new(DLK_KIND_NETWORK, networks[i]), -1, NULL));
}

static void
test_disks_that_each_host_names_otherwise_are_unsupported(Space *f, gconstpointer data)
{
    static const char *const blocks[] = {"block:8:0", "loop:8:1:4711", "dm:CRYPT-LUKS2-0123-web",
                                         "loop:wwid:naa.5"};
    static const char *const networks[] = {"network:nvme:///0000:01:00.0", "network:nbd+unix:///x?socket=/s"};
    for (guint i = 0; i < G_N_ELEMENTS(blocks); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(can_lock(f, dlk_disk_new(DLK_KIND_BLOCK, blocks[i]), -1, &error));
        g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    }
    for (guint i = 0; i < G_N_ELEMENTS(networks); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(can_lock(f, dlk_disk_new(DLK_KIND_NETWORK, networks[i]), -1, &error));
        g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    }
}

static void
test_a_file_can_be_locked_beside_its_lockspace_only(Space *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *image = scratch_file(&f->scratch, "disk.img");
    g_assert_true(can_lock(f, dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711"), open(image, O_PATH), &error));
    g_assert_no_error(error);
    g_assert_false(
        can_lock(f, dlk_disk_new(DLK_KIND_FILE, "file:0:5:1"), open("/proc/version", O_PATH), &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
}

static void
test_a_rule_without_a_lockspace_is_unsupported(Space *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_clear_pointer(&f->rule->lockspace, g_free);
    g_assert_false(dlk_backend_probe(f->backend, f->target, f->rule, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "no lockspace="));
}

#define ADD(name) g_test_add("/lockspace/" #name, Space, NULL, space_set_up, test_##name, space_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(an_exclusive_lease_keeps_every_other_out);
    ADD(shared_and_read_only_leases_stand_together);
    ADD(strict_readers_tolerate_no_writer);
    ADD(by_version_3_of_nfs_strict_readers_are_refused);
    ADD(a_rule_may_refuse_a_folder_where_a_loss_is_not_seen);
    ADD(a_release_hands_over_and_leaves_the_file);
    ADD(a_mode_changes_where_nobody_is_in_the_way);
    ADD(what_was_given_up_can_be_taken_again);
    ADD(the_lock_file_is_for_root_alone_and_names_the_disk);
    ADD(a_lock_file_that_somebody_left_empty_names_the_disk);
    ADD(a_deleted_lock_file_is_a_lost_lock);
    ADD(a_replaced_lock_file_is_a_lost_lock);
    ADD(a_folder_that_is_away_says_nothing_of_the_lock);
    ADD(a_folder_that_does_not_exist_is_refused_and_not_made);
    ADD(a_folder_that_others_may_write_is_refused);
    ADD(a_folder_of_another_user_is_refused);
    ADD(a_folder_below_one_that_others_may_write_is_refused);
    ADD(a_link_to_a_folder_is_refused);
    ADD(a_file_in_the_place_of_the_folder_is_refused);
    ADD(a_folder_that_no_other_host_sees_is_refused_unless_the_rule_accepts_it);
    ADD(a_folder_on_cifs_is_refused_unless_its_locks_stay_here);
    ADD(what_is_no_lock_file_of_ours_is_refused);
    ADD(disks_with_an_identity_of_their_own_can_be_locked);
    ADD(disks_that_each_host_names_otherwise_are_unsupported);
    ADD(a_file_can_be_locked_beside_its_lockspace_only);
    ADD(a_rule_without_a_lockspace_is_unsupported);
    return g_test_run();
}
