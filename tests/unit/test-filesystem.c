#include "base/filesystem.h"

#include "base/fd.h"

#include <fcntl.h>

static const char *
type_at(const char *path)
{
    dlk_autofd fd = open(path, O_PATH | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return dlk_filesystem_of_fd(fd);
}

static void
test_type_is_told_by_a_descriptor(void)
{
    g_assert_cmpstr(type_at("/proc"), ==, "proc");
    g_assert_cmpstr(type_at("/dev/shm"), ==, "tmpfs");
    g_assert_cmpstr(type_at("/sys"), ==, NULL);
}

static void
test_disks_of_this_host_are_local(void)
{
    static const char *const types[] = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs"};

    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        g_assert_true(dlk_filesystem_is_local(types[i]));
}

static void
test_what_others_share_or_nobody_knows_is_not_local(void)
{
    static const char *const types[] = {"nfs",   "nfs4", "cifs", "fuse", "fuse.sshfs", "ceph",
                                        "ocfs2", "gfs2", "9p",   "proc", "overlay",    ""};

    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        g_assert_false(dlk_filesystem_is_local(types[i]));
    g_assert_false(dlk_filesystem_is_local(NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/filesystem/type", test_type_is_told_by_a_descriptor);
    g_test_add_func("/filesystem/local", test_disks_of_this_host_are_local);
    g_test_add_func("/filesystem/not-local", test_what_others_share_or_nobody_knows_is_not_local);
    return g_test_run();
}
