#include "host/mounts.h"

#include <sys/sysmacros.h>

static const char text[] =
    "20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "21 20 0:5 / /proc rw - proc proc rw\n"
    "30 20 0:40 /export /srv/images ro,noatime shared:2 master:3 - nfs4 nas:/export rw,hard\n"
    "31 30 0:41 / /srv/images/fast rw - fuse.sshfs me@host: rw\n"
    "40 20 8:2 / /mnt/with\\040space rw - xfs /dev/sda2 rw\n"
    "50 20 8:3 / /old rw - ext4 /dev/sda3 rw\n"
    "51 50 8:4 / /old/hidden rw - ext4 /dev/sda4 rw\n"
    "52 50 8:5 / /old rw - ext4 /dev/sda5 rw\n"
    "60 20 0:50 / /empty rw - tmpfs  rw\n";

static void
assert_on(const char *path, guint64 id)
{
    g_autoptr(DlkMounts) mounts = dlk_mounts_parse(text);
    g_assert_cmpuint(dlk_mounts_of_path(mounts, path)->id, ==, id);
}

static void
test_fields_are_read(void)
{
    g_autoptr(DlkMounts) mounts = dlk_mounts_parse(text);
    const DlkMount *mount = dlk_mounts_by_id(mounts, 30);
    g_assert_cmpuint(mount->device, ==, makedev(0, 40));
    g_assert_cmpstr(mount->point, ==, "/srv/images");
    g_assert_cmpstr(mount->root, ==, "/export");
    g_assert_cmpstr(mount->filesystem, ==, "nfs4");
    g_assert_cmpstr(mount->options, ==, "ro,noatime,rw,hard");
    g_assert_cmpstr(mount->source, ==, "nas:/export");
    g_assert_cmpstr(mount->lane, ==, "0:40");
}

static void
test_longest_prefix_wins(void)
{
    assert_on("/", 20);
    assert_on("/srv/other/disk.img", 20);
    assert_on("/srv/images", 30);
    assert_on("/srv/images/disk.img", 30);
    assert_on("/srv/images/fast/disk.img", 31);
}

static void
test_prefix_ends_at_a_slash(void)
{
    assert_on("/srv/images2/disk.img", 20);
}

static void
test_escapes_are_undone(void)
{
    assert_on("/mnt/with space/disk.img", 40);
}

static void
test_last_mounted_covers_what_was_below(void)
{
    assert_on("/old/disk.img", 52);
    assert_on("/old/hidden/disk.img", 52);
}

static void
test_source_may_be_empty(void)
{
    g_autoptr(DlkMounts) mounts = dlk_mounts_parse(text);
    g_assert_cmpstr(dlk_mounts_by_id(mounts, 60)->source, ==, "");
}

static void
test_at_finds_mount_points_alone(void)
{
    g_autoptr(DlkMounts) mounts = dlk_mounts_parse(text);
    g_assert_cmpuint(dlk_mounts_at(mounts, "/srv/images")->id, ==, 30);
    g_assert_null(dlk_mounts_at(mounts, "/srv/images/disk.img"));
}

static void
test_junk_is_passed_over(void)
{
    g_autoptr(DlkMounts) mounts = dlk_mounts_parse(
        "\n-\n1 2 3\nx 1 8:1 / / rw - ext4 a b\n70 1 8 / /a rw - ext4 a b\n71 1 8:1:2 / /a rw - e a b\n"
        "72 1 8:1 / relative rw - ext4 a b\n73 1 8:1 / /a rw shared:1 ext4 a b\n74 1 8:1 / /a rw - ext4\n"
        "75 75 8:1 / / rw - ext4 /dev/sda1 rw\n75 75 8:9 / /a rw - ext4 x rw\n\\\\4\\777");
    g_assert_cmpuint(dlk_mounts_of_path(mounts, "/a/b")->id, ==, 75);
    for (guint64 id = 70; id < 75; id++)
        g_assert_null(dlk_mounts_by_id(mounts, id));
}

static void
test_mounts_in_a_circle_end(void)
{
    g_autoptr(DlkMounts) mounts =
        dlk_mounts_parse("1 2 8:1 / / rw - ext4 a rw\n2 1 8:2 / / rw - ext4 a rw\n");
    g_assert_nonnull(dlk_mounts_of_path(mounts, "/a"));
}

static void
test_empty_table_has_no_mount(void)
{
    g_autoptr(DlkMounts) mounts = dlk_mounts_parse("");
    g_assert_null(dlk_mounts_of_path(mounts, "/"));
    g_assert_null(dlk_mounts_at(mounts, "/"));
}

static void
test_own_table_is_read_and_kept(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkMountTable) table = dlk_mount_table_new(NULL, &error);
    g_assert_no_error(error);
    DlkMounts *mounts = dlk_mount_table_get(table);
    g_assert_cmpstr(dlk_mounts_of_path(mounts, "/proc/self")->filesystem, ==, "proc");
    g_assert_true(dlk_mount_table_get(table) == mounts);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mounts/fields_are_read", test_fields_are_read);
    g_test_add_func("/mounts/longest_prefix_wins", test_longest_prefix_wins);
    g_test_add_func("/mounts/prefix_ends_at_a_slash", test_prefix_ends_at_a_slash);
    g_test_add_func("/mounts/escapes_are_undone", test_escapes_are_undone);
    g_test_add_func("/mounts/last_mounted_covers_what_was_below", test_last_mounted_covers_what_was_below);
    g_test_add_func("/mounts/source_may_be_empty", test_source_may_be_empty);
    g_test_add_func("/mounts/at_finds_mount_points_alone", test_at_finds_mount_points_alone);
    g_test_add_func("/mounts/junk_is_passed_over", test_junk_is_passed_over);
    g_test_add_func("/mounts/mounts_in_a_circle_end", test_mounts_in_a_circle_end);
    g_test_add_func("/mounts/empty_table_has_no_mount", test_empty_table_has_no_mount);
    g_test_add_func("/mounts/own_table_is_read_and_kept", test_own_table_is_read_and_kept);
    return g_test_run();
}
