#include "host/block-device.h"
#include "host/block-identity.h"
#include "host/related.h"
#include "loop-fixture.h"
#include "machine-fixture.h"

static int
compare(gconstpointer a, gconstpointer b)
{
    return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

/* "whole disk wwid:…\n…", sorted. */
static char *
describe(const DlkTarget *target, const DlkDevices *devices)
{
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL));
    g_autoptr(DlkMounts) mounts = dlk_mounts_parse(text);
    g_autoptr(GPtrArray) found = dlk_related_find(mounts, target, devices);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < found->len; i++) {
        const DlkRelated *related = found->pdata[i];
        g_ptr_array_add(lines, g_strdup_printf("%s %s", related->relation, related->id));
    }
    g_ptr_array_sort(lines, compare);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

static void
assert_related(Machine *m, guint major_number, guint minor_number, const char *expected)
{
    g_autoptr(DlkDisk) disk = dlk_block_device_new(makedev(major_number, minor_number), &m->devices, NULL);
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    g_autofree char *text = describe(target, &m->devices);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_disk_has_partitions_and_what_is_made_of_them(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    assert_related(m, 4008, 0,
                   "device above " MACHINE_HOME_ID "\ndevice above " MACHINE_ROOT_ID
                   "\npartition wwid:naa.5000c500/part1");
}

static void
test_partition_lies_between_its_disk_and_its_volumes(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    assert_related(m, 4008, 1,
                   "device above " MACHINE_HOME_ID "\ndevice above " MACHINE_ROOT_ID
                   "\nwhole disk wwid:naa.5000c500");
}

static void
test_volume_has_what_is_below_it_and_no_other_volume(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    assert_related(m, 4053, 0, "device below wwid:naa.5000c500/part1\nwhole disk wwid:naa.5000c500");
}

static void
test_path_has_its_map_and_the_other_path(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    assert_related(m, 4008, 16,
                   "other path wwid:naa.600508b4000156d7\nother path wwid:naa.600508b4000156d7\n"
                   "partition wwid:naa.600508b4000156d7/part1");
}

static void
test_map_has_its_paths(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    assert_related(m, 4053, 0,
                   "other path wwid:naa.600508b4000156d7\nother path wwid:naa.600508b4000156d7\n"
                   "partition wwid:naa.600508b4000156d7/part1");
}

static void
test_disk_that_stands_alone_has_nobody(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    assert_related(m, 4054, 0, "");
}

static void
test_array_has_its_members_and_their_disks(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_add_partition(m, "vda/vda1", "1", "4054:1");
    machine_add_disk(m, "vdb", "4054:16");
    machine_add_disk(m, "md0", "4009:0");
    machine_stack(m, "md0", "vda/vda1");
    machine_stack(m, "md0", "vdb");
    assert_related(m, 4009, 0,
                   "device below block:4054:1\ndevice below block:4054:16\nwhole disk block:4054:0");
}

/* ---- real loop devices ---- */

typedef struct {
    Scratch scratch;
    char *path;
    char *file_id;
    Loop loop;
    char *loop_id;
} File;

static void
file_set_up(File *f, gconstpointer data)
{
    struct stat status;
    scratch_init(&f->scratch);
    f->path = scratch_path(&f->scratch, "disk.img");
    loop_make_file(f->path, 4 * 1048576);
    g_assert_cmpint(stat(f->path, &status), ==, 0);
    f->file_id = dlk_file_identity(status.st_dev, status.st_ino);
    f->loop = loop_attach(f->path);
    g_autoptr(DlkDisk) disk = dlk_block_device_new(loop_device(&f->loop), &dlk_devices, NULL);
    f->loop_id = g_strdup(disk->id);
}

static void
file_tear_down(File *f, gconstpointer data)
{
    loop_detach(&f->loop);
    scratch_clear(&f->scratch);
    g_free(f->path);
    g_free(f->file_id);
    g_free(f->loop_id);
}

static void
test_file_has_its_loop_device_and_the_partitions_of_that(File *f, gconstpointer data)
{
    struct stat status;
    g_autofree char *partition = loop_add_partition(&f->loop, 1);
    g_assert_cmpint(stat(f->path, &status), ==, 0);
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, f->file_id);
    disk->device = status.st_dev;
    disk->inode = status.st_ino;
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    g_autofree char *text = describe(target, &dlk_devices);
    g_autofree char *expected = g_strdup_printf("loop device %s\npartition %s/part1", f->loop_id, f->loop_id);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_partition_of_a_loop_device_has_the_device_and_its_file(File *f, gconstpointer data)
{
    struct stat status;
    g_autofree char *partition = loop_add_partition(&f->loop, 1);
    g_assert_cmpint(stat(partition, &status), ==, 0);
    g_autoptr(DlkDisk) disk = dlk_block_device_new(status.st_rdev, &dlk_devices, NULL);
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    g_autofree char *text = describe(target, &dlk_devices);
    g_autofree char *expected = g_strdup_printf("backing file %s\nwhole disk %s", f->file_id, f->loop_id);
    g_assert_cmpstr(text, ==, expected);
}

#define MACHINE(name)                                                                                        \
    g_test_add("/related/" #name, Machine, NULL, machine_set_up, test_##name, machine_tear_down)
#define FILE_TEST(name) g_test_add("/related/" #name, File, NULL, file_set_up, test_##name, file_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    MACHINE(disk_has_partitions_and_what_is_made_of_them);
    MACHINE(partition_lies_between_its_disk_and_its_volumes);
    MACHINE(volume_has_what_is_below_it_and_no_other_volume);
    MACHINE(path_has_its_map_and_the_other_path);
    MACHINE(map_has_its_paths);
    MACHINE(disk_that_stands_alone_has_nobody);
    MACHINE(array_has_its_members_and_their_disks);
    FILE_TEST(file_has_its_loop_device_and_the_partitions_of_that);
    FILE_TEST(partition_of_a_loop_device_has_the_device_and_its_file);
    return g_test_run();
}
