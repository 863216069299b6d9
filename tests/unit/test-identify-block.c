#include "base/error.h"
#include "host/block-device.h"
#include "host/block-identity.h"
#include "loop-fixture.h"
#include "machine-fixture.h"

#include <string.h>

static DlkDisk *
disk_of(Machine *m, guint major_number, guint minor_number)
{
    return dlk_block_device_new(makedev(major_number, minor_number), &m->devices, NULL);
}

static void
assert_id(Machine *m, guint major_number, guint minor_number, const char *id)
{
    g_autoptr(DlkDisk) disk = disk_of(m, major_number, minor_number);
    g_assert_cmpstr(disk->id, ==, id);
}

static void
assert_ancestors(const DlkDisk *disk, const char *expected)
{
    g_autofree char *ancestors = disk->ancestors != NULL ? g_strjoinv(" ", disk->ancestors) : g_strdup("");
    g_assert_cmpstr(ancestors, ==, expected);
}

static void
test_disk_without_identity_is_known_by_its_number(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    g_autoptr(DlkDisk) disk = disk_of(m, 4054, 0);
    g_assert_cmpstr(disk->id, ==, "block:4054:0");
    g_assert_cmpstr(disk->lane, ==, disk->id);
    g_assert_cmpstr(disk->transport, ==, "virtio");
    g_assert_null(disk->wwid);
}

static void
test_device_that_sysfs_does_not_know_is_known_by_its_number(Machine *m, gconstpointer data)
{
    assert_id(m, 4099, 7, "block:4099:7");
}

static void
test_partition_is_part_of_its_disk(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_add_partition(m, "vda/vda1", "1", "4054:1");
    g_autoptr(DlkDisk) partition = disk_of(m, 4054, 1);
    g_assert_cmpstr(partition->id, ==, "block:4054:1");
    assert_ancestors(partition, "block:4054:0");
}

static void
test_scsi_disk_is_known_by_what_it_says_of_itself(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    g_autoptr(DlkDisk) disk = disk_of(m, 4008, 0);
    g_assert_cmpstr(disk->id, ==, "wwid:naa.5000c500");
    g_assert_cmpstr(disk->wwid, ==, "naa.5000c500");
    assert_id(m, 4008, 1, "wwid:naa.5000c500/part1");
}

static void
test_udev_knows_its_other_names(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "sda", "4008:0");
    machine_tell_udev(m, "4008:0", "S:disk/by-id/wwn-0x5000\nE:ID=1\nS:bad\x01name\nS:disk/by-path/pci-1\n");
    g_autoptr(DlkDisk) disk = disk_of(m, 4008, 0);
    g_assert_cmpuint(g_strv_length(disk->names), ==, 2);
    g_assert_true(g_str_has_suffix(disk->names[0], "/dev/disk/by-id/wwn-0x5000"));
    g_assert_true(g_str_has_suffix(disk->names[1], "/dev/disk/by-path/pci-1"));
}

static void
test_padding_and_slashes_in_a_wwid_become_one_word(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "sda", "4008:0");
    machine_say(m, "sda", "device/wwid", "t10.ATA     QEMU/HARDDISK   QM1");
    assert_id(m, 4008, 0, "wwid:t10.ATA_QEMU_HARDDISK_QM1");
}

static void
test_multipath_map_and_its_paths_are_one_disk(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    assert_id(m, 4008, 0, "wwid:naa.600508b4000156d7");
    assert_id(m, 4008, 16, "wwid:naa.600508b4000156d7");
    assert_id(m, 4053, 0, "wwid:naa.600508b4000156d7");
}

static void
test_paths_are_no_ancestors_of_their_map(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    g_autoptr(DlkDisk) map = disk_of(m, 4053, 0);
    assert_ancestors(map, "");
}

static void
test_map_without_paths_keeps_its_identity(Machine *m, gconstpointer data)
{
    machine_map(m, "dm-0", "4053:0", "mpath-3600508b4000156d7", "mpatha", NULL);
    assert_id(m, 4053, 0, "wwid:naa.600508b4000156d7");
}

static void
test_path_that_says_nothing_is_known_by_its_map(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "sda", "4008:0");
    machine_map(m, "dm-0", "4053:0", "mpath-1VENDOR_DISK_7", "mpatha", "sda");
    assert_id(m, 4008, 0, "wwid:1VENDOR_DISK_7");
    assert_id(m, 4053, 0, "wwid:1VENDOR_DISK_7");
}

static void
test_partition_of_a_map_and_of_its_path_are_one_disk(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    machine_map(m, "dm-1", "4053:1", "part1-mpath-3600508b4000156d7", "mpatha-part1", "dm-0");
    assert_id(m, 4008, 1, "wwid:naa.600508b4000156d7/part1");
    assert_id(m, 4053, 1, "wwid:naa.600508b4000156d7/part1");
    g_autoptr(DlkDisk) partition = disk_of(m, 4053, 1);
    assert_ancestors(partition, "wwid:naa.600508b4000156d7");
}

static void
test_logical_volume_is_known_by_its_uuid(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    assert_id(m, 4053, 0, MACHINE_ROOT_ID);
    assert_id(m, 4053, 1, MACHINE_HOME_ID);
}

static void
test_logical_volume_overlaps_what_is_below_it(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    g_autoptr(DlkDisk) volume = disk_of(m, 4053, 0);
    g_autoptr(DlkDisk) partition = disk_of(m, 4008, 1);
    g_autoptr(DlkDisk) disk = disk_of(m, 4008, 0);
    assert_ancestors(volume, "wwid:naa.5000c500/part1 wwid:naa.5000c500");
    g_assert_true(dlk_disk_overlaps(volume, partition));
    g_assert_true(dlk_disk_overlaps(disk, volume));
}

static void
test_two_logical_volumes_do_not_overlap(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    g_autoptr(DlkDisk) root = disk_of(m, 4053, 0);
    g_autoptr(DlkDisk) home = disk_of(m, 4053, 1);
    g_assert_false(dlk_disk_overlaps(root, home));
}

static void
test_hidden_layer_of_a_volume_is_a_disk_below_it(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    machine_map(m, "dm-2", "4053:2", MACHINE_ROOT "-real", "vg-root-real", "sda/sda1");
    machine_stack(m, "dm-0", "dm-2");
    g_autoptr(DlkDisk) volume = disk_of(m, 4053, 0);
    assert_id(m, 4053, 2, MACHINE_ROOT_ID "-real");
    g_assert_true(g_strv_contains((const char *const *)volume->ancestors, MACHINE_ROOT_ID "-real"));
}

static void
test_volume_on_multipath_has_the_disk_once_below_it(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    machine_map(m, "dm-1", "4053:1", MACHINE_ROOT, "vg-root", "dm-0");
    g_autoptr(DlkDisk) volume = disk_of(m, 4053, 1);
    assert_ancestors(volume, "wwid:naa.600508b4000156d7");
}

static void
test_crypt_device_is_known_by_its_own_uuid(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_map(m, "dm-0", "4053:0", "CRYPT-LUKS2-0123-secret", "secret", "vda");
    g_autoptr(DlkDisk) disk = disk_of(m, 4053, 0);
    g_assert_cmpstr(disk->id, ==, "dm:CRYPT-LUKS2-0123-secret");
    assert_ancestors(disk, "block:4054:0");
}

static void
test_mapped_device_without_uuid_is_known_by_its_number(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_map(m, "dm-0", "4053:0", "", "plain", "vda");
    assert_id(m, 4053, 0, "block:4053:0");
}

static void
test_nvme_namespace_is_known_by_its_id(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "nvme0n1", "4259:0");
    machine_say(m, "nvme0n1", "wwid", "eui.0025388b710116a1");
    machine_add_partition(m, "nvme0n1/nvme0n1p2", "2", "4259:2");
    machine_add_disk(m, "nvme0n2", "4259:3");
    machine_say(m, "nvme0n2", "wwid", "uuid.0a1b2c3d-0000-1111-2222-333344445555");
    assert_id(m, 4259, 0, "wwid:eui.0025388b710116a1");
    assert_id(m, 4259, 2, "wwid:eui.0025388b710116a1/part2");
    assert_id(m, 4259, 3, "wwid:uuid.0a1b2c3d-0000-1111-2222-333344445555");
}

static void
test_array_is_known_by_its_uuid_whoever_writes_it(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_add_disk(m, "md0", "4009:0");
    machine_stack(m, "md0", "vda");
    machine_say(m, "md0", "md/uuid", "01234567-89ab-cdef-0123-456789ABCDEF");
    machine_add_disk(m, "md1", "4009:1");
    machine_tell_udev(m, "4009:1", "E:MD_LEVEL=raid1\nE:MD_UUID=01234567:89abcdef:01234567:89abcdef\n");
    assert_id(m, 4009, 0, "md:0123456789abcdef0123456789abcdef");
    assert_id(m, 4009, 1, "md:0123456789abcdef0123456789abcdef");
    g_autoptr(DlkDisk) array = disk_of(m, 4009, 0);
    assert_ancestors(array, "block:4054:0");
}

static void
test_devices_stacked_in_a_circle_come_to_an_end(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "dm-0", "4053:0");
    machine_add_disk(m, "dm-1", "4053:1");
    machine_stack(m, "dm-0", "dm-1");
    machine_stack(m, "dm-1", "dm-0");
    g_autoptr(DlkDisk) disk = disk_of(m, 4053, 0);
    assert_ancestors(disk, "block:4053:1");
}

/* To take it for a device without a file would make two disks of one. */
static void
test_loop_device_that_cannot_be_asked_is_unreachable(Machine *m, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    machine_add_disk(m, "loop0", "4007:0");
    machine_say(m, "loop0", "loop/backing_file", "/srv/disk.img");
    g_autoptr(DlkDisk) disk = dlk_block_device_new(makedev(4007, 0), &m->devices, &error);
    g_assert_null(disk);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE);
    g_assert_nonnull(strstr(error->message, "loop0"));
}

static void
test_volume_on_a_loop_device_that_cannot_be_asked_is_unreachable(Machine *m, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    machine_add_disk(m, "loop0", "4007:0");
    machine_say(m, "loop0", "loop/backing_file", "/srv/disk.img");
    machine_map(m, "dm-0", "4053:0", MACHINE_ROOT, "vg-root", "loop0");
    g_autoptr(DlkDisk) disk = dlk_block_device_new(makedev(4053, 0), &m->devices, &error);
    g_assert_null(disk);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE);
}

/* ---- real loop devices ---- */

typedef struct {
    Scratch scratch;
    char *path;
    char *file_id;
} File;

static void
file_set_up(File *f, gconstpointer data)
{
    struct stat status;
    scratch_init(&f->scratch);
    f->path = scratch_path(&f->scratch, "disk.img");
    loop_make_file(f->path, 8 * 1048576);
    g_assert_cmpint(stat(f->path, &status), ==, 0);
    f->file_id = dlk_file_identity(status.st_dev, status.st_ino);
}

static void
file_tear_down(File *f, gconstpointer data)
{
    scratch_clear(&f->scratch);
    g_free(f->path);
    g_free(f->file_id);
}

static DlkDisk *
node_disk(const char *node)
{
    struct stat status;
    g_assert_cmpint(stat(node, &status), ==, 0);
    return dlk_block_device_new(status.st_rdev, &dlk_devices, NULL);
}

static gboolean
is_part_of(const DlkDisk *disk, const char *id)
{
    return disk->ancestors != NULL && g_strv_contains((const char *const *)disk->ancestors, id);
}

static void
test_loop_device_is_part_of_its_file(File *f, gconstpointer data)
{
    g_auto(Loop) loop = loop_attach(f->path);
    g_autoptr(DlkDisk) disk = node_disk(loop.node);
    g_assert_true(is_part_of(disk, f->file_id));
    g_assert_cmpstr(disk->transport, ==, "loop");
}

static void
test_loop_device_knows_its_file_by_no_name(File *f, gconstpointer data)
{
    g_auto(Loop) loop = loop_attach(f->path);
    g_autofree char *elsewhere = scratch_path(&f->scratch, "moved.img");
    g_assert_cmpint(g_rename(f->path, elsewhere), ==, 0);
    loop_make_file(f->path, 1048576); /* another file by the old name */
    g_autoptr(DlkDisk) disk = node_disk(loop.node);
    g_assert_true(is_part_of(disk, f->file_id));
}

static void
test_partition_of_a_loop_device_is_part_of_device_and_file(File *f, gconstpointer data)
{
    g_auto(Loop) loop = loop_attach(f->path);
    g_autofree char *first = loop_add_partition(&loop, 1);
    g_autofree char *second = loop_add_partition(&loop, 2);
    g_autoptr(DlkDisk) whole = node_disk(loop.node);
    g_autoptr(DlkDisk) one = node_disk(first);
    g_autoptr(DlkDisk) two = node_disk(second);
    g_assert_true(is_part_of(one, whole->id));
    g_assert_true(is_part_of(one, f->file_id));
    g_assert_false(dlk_disk_overlaps(one, two));
}

static void
test_two_loop_devices_on_one_file_are_one_disk(File *f, gconstpointer data)
{
    g_auto(Loop) loop = loop_attach(f->path);
    g_auto(Loop) other = loop_attach(f->path);
    g_autoptr(DlkDisk) disk = node_disk(loop.node);
    g_autoptr(DlkDisk) other_disk = node_disk(other.node);
    g_assert_cmpstr(disk->id, ==, other_disk->id);
}

static void
test_loop_devices_on_parts_of_a_file_overlap_the_one_on_all_of_it(File *f, gconstpointer data)
{
    g_auto(Loop) all = loop_attach(f->path);
    g_auto(Loop) head = loop_attach_part(f->path, 0, 1048576, 0);
    g_auto(Loop) tail = loop_attach_part(f->path, 1048576, 0, 0);
    g_autoptr(DlkDisk) whole = node_disk(all.node);
    g_autoptr(DlkDisk) first = node_disk(head.node);
    g_autoptr(DlkDisk) rest = node_disk(tail.node);
    g_assert_true(dlk_disk_overlaps(whole, first));
    g_assert_true(dlk_disk_overlaps(whole, rest));
    g_assert_false(dlk_disk_overlaps(first, rest));
}

static void
test_loop_device_on_a_device_is_part_of_all_below(File *f, gconstpointer data)
{
    g_auto(Loop) lower = loop_attach(f->path);
    g_auto(Loop) upper = loop_attach(lower.node);
    g_autoptr(DlkDisk) below = node_disk(lower.node);
    g_autoptr(DlkDisk) disk = node_disk(upper.node);
    g_assert_true(is_part_of(disk, below->id));
    g_assert_true(is_part_of(disk, f->file_id));
}

#define MACHINE(name)                                                                                        \
    g_test_add("/identify-block/" #name, Machine, NULL, machine_set_up, test_##name, machine_tear_down)
#define FILE_TEST(name)                                                                                      \
    g_test_add("/identify-block/" #name, File, NULL, file_set_up, test_##name, file_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    MACHINE(disk_without_identity_is_known_by_its_number);
    MACHINE(device_that_sysfs_does_not_know_is_known_by_its_number);
    MACHINE(partition_is_part_of_its_disk);
    MACHINE(scsi_disk_is_known_by_what_it_says_of_itself);
    MACHINE(udev_knows_its_other_names);
    MACHINE(padding_and_slashes_in_a_wwid_become_one_word);
    MACHINE(multipath_map_and_its_paths_are_one_disk);
    MACHINE(paths_are_no_ancestors_of_their_map);
    MACHINE(map_without_paths_keeps_its_identity);
    MACHINE(path_that_says_nothing_is_known_by_its_map);
    MACHINE(partition_of_a_map_and_of_its_path_are_one_disk);
    MACHINE(logical_volume_is_known_by_its_uuid);
    MACHINE(logical_volume_overlaps_what_is_below_it);
    MACHINE(two_logical_volumes_do_not_overlap);
    MACHINE(hidden_layer_of_a_volume_is_a_disk_below_it);
    MACHINE(volume_on_multipath_has_the_disk_once_below_it);
    MACHINE(crypt_device_is_known_by_its_own_uuid);
    MACHINE(mapped_device_without_uuid_is_known_by_its_number);
    MACHINE(nvme_namespace_is_known_by_its_id);
    MACHINE(array_is_known_by_its_uuid_whoever_writes_it);
    MACHINE(devices_stacked_in_a_circle_come_to_an_end);
    MACHINE(loop_device_that_cannot_be_asked_is_unreachable);
    MACHINE(volume_on_a_loop_device_that_cannot_be_asked_is_unreachable);
    FILE_TEST(loop_device_is_part_of_its_file);
    FILE_TEST(loop_device_knows_its_file_by_no_name);
    FILE_TEST(partition_of_a_loop_device_is_part_of_device_and_file);
    FILE_TEST(two_loop_devices_on_one_file_are_one_disk);
    FILE_TEST(loop_devices_on_parts_of_a_file_overlap_the_one_on_all_of_it);
    FILE_TEST(loop_device_on_a_device_is_part_of_all_below);
    return g_test_run();
}
