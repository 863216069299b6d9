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
test_kinds_are_the_words_of_the_contract(void)
{
    g_assert_cmpstr(dlk_kind_to_string(DLK_KIND_FILE), ==, "file");
    g_assert_cmpstr(dlk_kind_to_string(DLK_KIND_BLOCK), ==, "block");
    g_assert_cmpstr(dlk_kind_to_string(DLK_KIND_NETWORK), ==, "network");
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
    g_test_add_func("/disk/kinds_are_the_words_of_the_contract", test_kinds_are_the_words_of_the_contract);
    return g_test_run();
}
