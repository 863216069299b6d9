#include "base/error.h"
#include "model/disk.h"

static DlkDisk *
block(const char *id, const char *whole)
{
    DlkDisk *disk = dlk_disk_new(DLK_KIND_BLOCK, id);
    if (whole != NULL)
        disk->ancestors = g_strdupv((char *[]){(char *)whole, NULL});
    return disk;
}

static void
test_same_id_overlaps(void)
{
    g_autoptr(DlkDisk) a = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    g_autoptr(DlkDisk) b = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    g_assert_true(dlk_disk_overlaps(a, b));
}

static void
test_other_id_does_not_overlap(void)
{
    g_autoptr(DlkDisk) a = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    g_autoptr(DlkDisk) b = dlk_disk_new(DLK_KIND_FILE, "file:8:1:471");
    g_assert_false(dlk_disk_overlaps(a, b));
}

static void
test_partition_overlaps_whole_disk_both_ways(void)
{
    g_autoptr(DlkDisk) whole = block("block:8:0", NULL);
    g_autoptr(DlkDisk) part = block("block:8:1", "block:8:0");
    g_assert_true(dlk_disk_overlaps(whole, part));
    g_assert_true(dlk_disk_overlaps(part, whole));
}

static void
test_two_partitions_do_not_overlap(void)
{
    g_autoptr(DlkDisk) first = block("block:8:1", "block:8:0");
    g_autoptr(DlkDisk) second = block("block:8:2", "block:8:0");
    g_assert_false(dlk_disk_overlaps(first, second));
}

static void
test_label_is_the_path_or_the_id(void)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, "file:8:1:4711");
    g_assert_cmpstr(dlk_disk_label(disk), ==, "file:8:1:4711");
    disk->path = g_strdup("/srv/web01.img");
    g_assert_cmpstr(dlk_disk_label(disk), ==, "/srv/web01.img");
}

static void
test_kinds_are_their_own_words(void)
{
    for (guint i = 0; i < DLK_N_KINDS; i++) {
        g_autoptr(GError) error = NULL;
        DlkKind kind = DLK_N_KINDS;
        g_assert_true(dlk_kind_from_string(dlk_kind_to_string(i), &kind, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(kind, ==, i);
    }
}

static void
test_unknown_kind_is_named_harmlessly(void)
{
    g_autoptr(GError) error = NULL;
    DlkKind kind = DLK_KIND_FILE;
    g_assert_false(dlk_kind_from_string("tape\n", &kind, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_nonnull(strstr(error->message, "tape\\x0a"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/disk/same_id_overlaps", test_same_id_overlaps);
    g_test_add_func("/disk/other_id_does_not_overlap", test_other_id_does_not_overlap);
    g_test_add_func("/disk/partition_overlaps_whole_disk_both_ways",
                    test_partition_overlaps_whole_disk_both_ways);
    g_test_add_func("/disk/two_partitions_do_not_overlap", test_two_partitions_do_not_overlap);
    g_test_add_func("/disk/label_is_the_path_or_the_id", test_label_is_the_path_or_the_id);
    g_test_add_func("/disk/kinds_are_their_own_words", test_kinds_are_their_own_words);
    g_test_add_func("/disk/unknown_kind_is_named_harmlessly", test_unknown_kind_is_named_harmlessly);
    return g_test_run();
}
