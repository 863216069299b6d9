#include "backend/backends.h"
#include "backend/foreign-block.h"
#include "backend/foreign.h"
#include "base/error.h"
#include "host/block-device.h"
#include "loop-fixture.h"
#include "machine-fixture.h"
#include "other-process.h"

#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/swap.h>

/* ---- what the kernel has built upon a made-up machine's disks ---- */

static GPtrArray *
find_on_machine(Machine *m, guint major_number, guint minor_number)
{
    GPtrArray *foreigners = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_foreign_free);
    g_autoptr(DlkDisk) disk = dlk_block_device_new(makedev(major_number, minor_number), &m->devices, NULL);
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    dlk_foreign_block_find(foreigners, target, &m->devices);
    return foreigners;
}

/* "lvm lvm": what is found, in its order. */
static char *
words_of(GPtrArray *foreigners)
{
    GString *words = g_string_new(NULL);
    for (guint i = 0; i < foreigners->len; i++) {
        const DlkForeign *foreign = foreigners->pdata[i];
        g_string_append_printf(words, "%s%s", i > 0 ? " " : "", foreign->what);
    }
    return g_string_free(words, FALSE);
}

static void
assert_found(Machine *m, guint major_number, guint minor_number, const char *expected)
{
    g_autoptr(GPtrArray) foreigners = find_on_machine(m, major_number, minor_number);
    g_autofree char *words = words_of(foreigners);
    g_assert_cmpstr(words, ==, expected);
}

static void
test_active_volumes_use_their_physical_volume_and_its_disk(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    assert_found(m, 4008, 1, "lvm lvm");
    assert_found(m, 4008, 0, "lvm lvm");
}

static void
test_volume_is_named_as_people_know_it(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    g_autoptr(GPtrArray) foreigners = find_on_machine(m, 4008, 1);
    g_autofree char *text = dlk_foreign_describe(foreigners->pdata[0]);
    g_autofree char *expected = g_strdup_printf("the LVM volume %s/mapper/vg-root on it is active", m->dev);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_volume_itself_is_free(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    assert_found(m, 4053, 0, "");
}

static void
test_multipath_map_is_no_stranger_to_its_paths(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    assert_found(m, 4008, 0, "");
    assert_found(m, 4053, 0, "");
}

static void
test_path_is_used_by_what_uses_its_map(Machine *m, gconstpointer data)
{
    machine_add_multipath(m);
    machine_map(m, "dm-1", "4053:1", MACHINE_ROOT, "vg-root", "dm-0");
    assert_found(m, 4008, 16, "lvm");
}

static void
test_disk_is_used_by_what_uses_its_other_node(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "nvme0n1", "4259:0");
    machine_say(m, "nvme0n1", "wwid", "eui.01");
    machine_add_disk(m, "nvme1n1", "4259:1");
    machine_say(m, "nvme1n1", "wwid", "eui.01");
    machine_map(m, "dm-0", "4053:0", "CRYPT-LUKS2-01-x", "secret", "nvme1n1");
    assert_found(m, 4259, 0, "dm");
}

static void
test_member_of_an_array_is_used(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_add_disk(m, "md0", "4009:0");
    machine_say(m, "md0", "md/level", "raid1");
    machine_stack(m, "md0", "vda");
    assert_found(m, 4054, 0, "md");
}

static void
test_partition_is_used_by_what_is_made_of_its_disk(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_add_partition(m, "vda/vda1", "1", "4054:1");
    machine_map(m, "dm-0", "4053:0", "", "plain", "vda");
    assert_found(m, 4054, 1, "dm");
}

static void
test_partition_is_not_used_by_what_is_made_of_its_neighbour(Machine *m, gconstpointer data)
{
    machine_add_disk(m, "vda", "4054:0");
    machine_add_partition(m, "vda/vda1", "1", "4054:1");
    machine_add_partition(m, "vda/vda2", "2", "4054:2");
    machine_map(m, "dm-0", "4053:0", "", "plain", "vda/vda2");
    assert_found(m, 4054, 1, "");
}

static void
test_device_that_is_read_only_leaves_room_for_readers(Machine *m, gconstpointer data)
{
    machine_add_lvm(m);
    machine_say(m, "dm-0", "ro", "1");
    machine_say(m, "dm-1", "ro", "1");
    g_autoptr(GPtrArray) foreigners = find_on_machine(m, 4008, 1);
    g_assert_nonnull(dlk_foreign_obstacle(foreigners, DLK_MODE_EXCLUSIVE, FALSE));
    g_assert_nonnull(dlk_foreign_obstacle(foreigners, DLK_MODE_SHARED, FALSE));
    g_assert_null(dlk_foreign_obstacle(foreigners, DLK_MODE_READ_ONLY, FALSE));
}

/* ---- real devices ---- */

typedef struct {
    Scratch scratch;
    char *path;  /* of a file of 8 MiB */
    char *point; /* a folder to mount on */
    Loop loop;
} Device;

static void
device_set_up(Device *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    f->path = scratch_path(&f->scratch, "disk.img");
    f->point = scratch_folder(&f->scratch, "mounted");
    loop_make_file(f->path, 8 * 1048576);
    f->loop = loop_attach(f->path);
}

static void
device_tear_down(Device *f, gconstpointer data)
{
    loop_detach(&f->loop);
    scratch_clear(&f->scratch);
    g_free(f->path);
    g_free(f->point);
}

static DlkTarget *
target_of(const char *path)
{
    struct stat status;
    const int fd = open(path, O_PATH | O_CLOEXEC);
    g_assert_cmpint(fstat(fd, &status), ==, 0);
    if (S_ISBLK(status.st_mode)) {
        g_autoptr(DlkDisk) device = dlk_block_device_new(status.st_rdev, &dlk_devices, NULL);
        device->path = g_strdup(path);
        return dlk_target_new(device, fd, -1, NULL);
    }
    g_autoptr(DlkDisk) file = dlk_disk_new(DLK_KIND_FILE, "file:test");
    file->path = g_strdup(path);
    file->device = status.st_dev;
    file->inode = status.st_ino;
    return dlk_target_new(file, fd, -1, NULL);
}

static GPtrArray *
find(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) target = target_of(path);
    GPtrArray *foreigners = dlk_foreign_find(target, 0, &error);
    g_assert_no_error(error);
    return foreigners;
}

static void
assert_what(const char *path, const char *expected)
{
    g_autoptr(GPtrArray) foreigners = find(path);
    g_autofree char *words = words_of(foreigners);
    g_assert_cmpstr(words, ==, expected);
}

/* The refusal of a lease of the host backend, which locks nothing itself. */
static char *
refusal(const char *path, DlkMode mode)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) target = target_of(path);
    g_autoptr(DlkRule) rule = dlk_rule_new("test");
    DlkBackend *backend = dlk_backends_get("host");
    g_autoptr(DlkHold) hold = dlk_hold_new(backend, target, mode, FALSE, 0);
    if (dlk_backend_acquire(backend, hold, rule, &error))
        return NULL;
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    return g_strdup(error->message);
}

static void
assert_refused(const char *path, DlkMode mode, const char *part)
{
    g_autofree char *message = refusal(path, mode);
    g_assert_nonnull(message);
    if (strstr(message, part) == NULL)
        g_error("%s", message);
}

static void
assert_granted(const char *path, DlkMode mode)
{
    g_autofree char *message = refusal(path, mode);
    g_assert_cmpstr(message, ==, NULL);
}

static void
run(const char *program, ...)
{
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    int status = 0;
    va_list more;
    va_start(more, program);
    for (const char *argument = program; argument != NULL; argument = va_arg(more, const char *))
        g_ptr_array_add(arguments, (gpointer)argument);
    va_end(more);
    g_ptr_array_add(arguments, NULL);
    g_spawn_sync(NULL, (char **)arguments->pdata, NULL,
                 G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                 NULL, NULL, &status, &error);
    g_assert_no_error(error);
    if (!g_spawn_check_wait_status(status, &error))
        g_error("%s: %s", program, error->message);
}

static void
enter_namespace(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        g_error("no mount namespace can be made, which takes root: %s", g_strerror(errno));
}

/* TRUE: this is the test's own process with its own mounts; FALSE: it was run, and has passed. */
static gboolean
in_own_namespace(void)
{
    if (g_test_subprocess()) {
        enter_namespace();
        return TRUE;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
    return FALSE;
}

static void
mount_it(const char *node, const char *point, const char *filesystem, unsigned long flags)
{
    if (mount(node, point, filesystem, flags, NULL) < 0)
        g_error("cannot mount %s: %s", filesystem, g_strerror(errno));
}

static void
test_idle_device_is_free(Device *f, gconstpointer data)
{
    assert_what(f->loop.node, "");
    assert_granted(f->loop.node, DLK_MODE_EXCLUSIVE);
}

static void
test_mounted_filesystem_keeps_everybody_out_and_says_where(Device *f, gconstpointer data)
{
    if (!in_own_namespace())
        return;
    run("mkfs.ext4", "-q", f->loop.node, NULL);
    mount_it(f->loop.node, f->point, "ext4", 0);
    assert_what(f->loop.node, "mount");
    assert_refused(f->loop.node, DLK_MODE_EXCLUSIVE, f->point);
    assert_refused(f->loop.node, DLK_MODE_SHARED, "unmount it first");
    assert_refused(f->loop.node, DLK_MODE_READ_ONLY, f->point);
    g_assert_cmpint(umount(f->point), ==, 0);
    assert_granted(f->loop.node, DLK_MODE_EXCLUSIVE);
}

static void
test_filesystem_mounted_read_only_leaves_room_for_readers(Device *f, gconstpointer data)
{
    if (!in_own_namespace())
        return;
    run("mkfs.ext4", "-q", f->loop.node, NULL);
    mount_it(f->loop.node, f->point, "ext4", MS_RDONLY);
    assert_refused(f->loop.node, DLK_MODE_EXCLUSIVE, f->point);
    assert_refused(f->loop.node, DLK_MODE_SHARED, f->point);
    assert_granted(f->loop.node, DLK_MODE_READ_ONLY);
    g_assert_cmpint(umount(f->point), ==, 0);
}

static void
test_mounted_partition_uses_the_whole_disk_and_not_its_neighbour(Device *f, gconstpointer data)
{
    if (!in_own_namespace())
        return;
    g_autofree char *first = loop_add_partition(&f->loop, 1);
    g_autofree char *second = loop_add_partition(&f->loop, 2);
    run("mkfs.ext4", "-q", first, NULL);
    mount_it(first, f->point, "ext4", 0);
    assert_refused(f->loop.node, DLK_MODE_EXCLUSIVE, f->point);
    assert_refused(first, DLK_MODE_EXCLUSIVE, f->point);
    assert_granted(second, DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(umount(f->point), ==, 0);
}

static void
test_xfs_is_seen(Device *f, gconstpointer data)
{
    if (!in_own_namespace())
        return;
    g_autofree char *path = scratch_path(&f->scratch, "large.img");
    loop_make_file(path, 400 * 1048576LL);
    g_auto(Loop) loop = loop_attach(path);
    run("mkfs.xfs", "-q", loop.node, NULL);
    mount_it(loop.node, f->point, "xfs", 0);
    assert_refused(loop.node, DLK_MODE_EXCLUSIVE, f->point);
    g_assert_cmpint(umount(f->point), ==, 0);
}

static void
test_every_device_of_a_btrfs_is_mounted(Device *f, gconstpointer data)
{
    if (!in_own_namespace())
        return;
    g_autofree char *one = scratch_path(&f->scratch, "one.img");
    g_autofree char *two = scratch_path(&f->scratch, "two.img");
    loop_make_file(one, 128 * 1048576);
    loop_make_file(two, 128 * 1048576);
    g_auto(Loop) first = loop_attach(one);
    g_auto(Loop) second = loop_attach(two);
    run("mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "raid1", first.node, second.node, NULL);
    run("btrfs", "device", "scan", first.node, second.node, NULL);
    mount_it(first.node, f->point, "btrfs", 0);
    assert_refused(first.node, DLK_MODE_EXCLUSIVE, f->point);
    assert_refused(second.node, DLK_MODE_EXCLUSIVE, f->point);
    g_assert_cmpint(umount(f->point), ==, 0);
    run("btrfs", "device", "scan", "--forget", first.node, NULL);
    run("btrfs", "device", "scan", "--forget", second.node, NULL);
}

typedef struct {
    const char *node, *point, *filesystem;
} ElsewhereMount;

static void
mount_elsewhere(gconstpointer data)
{
    const ElsewhereMount *wanted = data;
    enter_namespace();
    mount_it(wanted->node, wanted->point, wanted->filesystem, 0);
}

static void
test_filesystem_in_another_mount_namespace_is_seen(Device *f, gconstpointer data)
{
    run("mkfs.ext4", "-q", f->loop.node, NULL);
    const ElsewhereMount wanted = {f->loop.node, f->point, "ext4"};
    g_auto(OtherProcess) container = other_process_start("container", mount_elsewhere, &wanted);
    assert_what(f->loop.node, "mount");
    assert_refused(f->loop.node, DLK_MODE_EXCLUSIVE, "mounted in another mount namespace");
}

static void
claim(gconstpointer node)
{
    if (open(node, O_RDONLY | O_EXCL | O_CLOEXEC) < 0)
        _exit(1);
}

static void
test_claim_of_an_unknown_is_seen(Device *f, gconstpointer data)
{
    g_auto(OtherProcess) formatter = other_process_start("formatter", claim, f->loop.node);
    assert_what(f->loop.node, "claim");
    assert_refused(f->loop.node, DLK_MODE_READ_ONLY, "has claimed it for itself");
    other_process_stop(&formatter);
    assert_granted(f->loop.node, DLK_MODE_EXCLUSIVE);
}

static void
test_looking_leaves_no_claim_behind(Device *f, gconstpointer data)
{
    assert_what(f->loop.node, "");
    const int fd = open(f->loop.node, O_RDONLY | O_EXCL | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

static void
test_swap_device_is_in_use(Device *f, gconstpointer data)
{
    run("mkswap", f->loop.node, NULL);
    g_assert_cmpint(swapon(f->loop.node, 0), ==, 0);
    g_autofree char *message = refusal(f->loop.node, DLK_MODE_EXCLUSIVE);
    g_autoptr(GPtrArray) foreigners = find(f->loop.node);
    g_assert_cmpint(swapoff(f->loop.node), ==, 0);
    g_autofree char *words = words_of(foreigners);
    g_assert_cmpstr(words, ==, "swap");
    g_assert_nonnull(strstr(message, "active swap"));
    g_assert_nonnull(strstr(message, "swapoff"));
}

/* On a filesystem that knows how: a tmpfs, which /tmp may be, does not. */
static void
test_swap_file_is_in_use(Device *f, gconstpointer data)
{
    if (!in_own_namespace())
        return;
    g_autofree char *image = scratch_path(&f->scratch, "filesystem.img");
    g_autofree char *path = g_build_filename(f->point, "swap", NULL);
    loop_make_file(image, 32 * 1048576);
    g_auto(Loop) loop = loop_attach(image);
    run("mkfs.ext4", "-q", loop.node, NULL);
    mount_it(loop.node, f->point, "ext4", 0);
    run("fallocate", "-l", "4MiB", path, NULL);
    g_assert_cmpint(g_chmod(path, 0600), ==, 0);
    run("mkswap", path, NULL);
    g_assert_cmpint(swapon(path, 0), ==, 0);
    g_autofree char *message = refusal(path, DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(swapoff(path), ==, 0);
    g_assert_nonnull(message);
    g_assert_nonnull(strstr(message, "active swap"));
    assert_granted(path, DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(umount(f->point), ==, 0);
}

static void
test_file_with_a_loop_device_on_it_is_in_use(Device *f, gconstpointer data)
{
    assert_what(f->path, "loop");
    assert_refused(f->path, DLK_MODE_EXCLUSIVE, f->loop.node);
    assert_refused(f->path, DLK_MODE_READ_ONLY, "losetup -d");
    loop_detach(&f->loop);
    assert_granted(f->path, DLK_MODE_EXCLUSIVE);
}

static void
test_loop_device_is_found_by_any_name_of_the_file(Device *f, gconstpointer data)
{
    g_autofree char *link_path = scratch_path(&f->scratch, "link.img");
    g_assert_cmpint(link(f->path, link_path), ==, 0);
    assert_what(link_path, "loop");
}

static void
test_read_only_loop_device_leaves_room_for_readers(Device *f, gconstpointer data)
{
    g_autofree char *path = scratch_path(&f->scratch, "other.img");
    loop_make_file(path, 1048576);
    g_auto(Loop) loop = loop_attach_part(path, 0, 0, LO_FLAGS_READ_ONLY);
    assert_refused(path, DLK_MODE_EXCLUSIVE, loop.node);
    assert_granted(path, DLK_MODE_READ_ONLY);
}

static void
lock_as_qemu(gconstpointer node)
{
    const int fd = open(node, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 2};
    struct flock alone = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1};
    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0 || fcntl(fd, F_OFD_SETLK, &alone) < 0)
        _exit(1);
}

static void
test_machine_on_a_device_is_seen(Device *f, gconstpointer data)
{
    g_auto(OtherProcess) machine = other_process_start("qemu", lock_as_qemu, f->loop.node);
    assert_what(f->loop.node, "qemu");
    assert_refused(f->loop.node, DLK_MODE_EXCLUSIVE, "qemu (pid");
}

static void
test_machine_on_a_partition_is_seen_from_the_whole_disk_and_back(Device *f, gconstpointer data)
{
    g_autofree char *first = loop_add_partition(&f->loop, 1);
    g_autofree char *second = loop_add_partition(&f->loop, 2);
    g_auto(OtherProcess) machine = other_process_start("qemu", lock_as_qemu, first);
    assert_refused(f->loop.node, DLK_MODE_EXCLUSIVE, "qemu (pid");
    assert_granted(second, DLK_MODE_EXCLUSIVE);
    other_process_stop(&machine);
    g_auto(OtherProcess) greater = other_process_start("qemu", lock_as_qemu, f->loop.node);
    assert_refused(first, DLK_MODE_EXCLUSIVE, "qemu (pid");
}

static void
flock_node(gconstpointer node)
{
    const int fd = open(node, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        _exit(1);
}

static void
test_bsd_lock_is_shown_and_in_nobodys_way(Device *f, gconstpointer data)
{
    g_auto(OtherProcess) tool = other_process_start("tool", flock_node, f->loop.node);
    g_autoptr(GPtrArray) foreigners = find(f->loop.node);
    g_assert_cmpuint(foreigners->len, ==, 1);
    const DlkForeign *foreign = foreigners->pdata[0];
    g_assert_cmpstr(foreign->what, ==, "flock");
    g_assert_cmpint(foreign->pid, ==, tool.pid);
    assert_granted(f->loop.node, DLK_MODE_EXCLUSIVE);
}

static void
test_device_that_cannot_be_opened_is_an_error(Device *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) target = target_of(f->loop.node);
    g_autoptr(DlkTarget) broken = dlk_target_new(target->disk, 123456, -1, NULL);
    g_autoptr(GPtrArray) foreigners = dlk_foreign_find(broken, 0, &error);
    g_assert_null(foreigners);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
}

static void
test_network_disk_has_no_foreign_users(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_NETWORK, "network:rbd://mon/pool/image");
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    g_autoptr(GPtrArray) foreigners = dlk_foreign_find(target, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(foreigners->len, ==, 0);
}

#define MACHINE(name)                                                                                        \
    g_test_add("/foreign-block/" #name, Machine, NULL, machine_set_up, test_##name, machine_tear_down)
#define DEVICE(name)                                                                                         \
    g_test_add("/foreign-block/" #name, Device, NULL, device_set_up, test_##name, device_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    MACHINE(active_volumes_use_their_physical_volume_and_its_disk);
    MACHINE(volume_is_named_as_people_know_it);
    MACHINE(volume_itself_is_free);
    MACHINE(multipath_map_is_no_stranger_to_its_paths);
    MACHINE(path_is_used_by_what_uses_its_map);
    MACHINE(disk_is_used_by_what_uses_its_other_node);
    MACHINE(member_of_an_array_is_used);
    MACHINE(partition_is_used_by_what_is_made_of_its_disk);
    MACHINE(partition_is_not_used_by_what_is_made_of_its_neighbour);
    MACHINE(device_that_is_read_only_leaves_room_for_readers);
    DEVICE(idle_device_is_free);
    DEVICE(mounted_filesystem_keeps_everybody_out_and_says_where);
    DEVICE(filesystem_mounted_read_only_leaves_room_for_readers);
    DEVICE(mounted_partition_uses_the_whole_disk_and_not_its_neighbour);
    DEVICE(xfs_is_seen);
    DEVICE(every_device_of_a_btrfs_is_mounted);
    DEVICE(filesystem_in_another_mount_namespace_is_seen);
    DEVICE(claim_of_an_unknown_is_seen);
    DEVICE(looking_leaves_no_claim_behind);
    DEVICE(swap_device_is_in_use);
    DEVICE(swap_file_is_in_use);
    DEVICE(file_with_a_loop_device_on_it_is_in_use);
    DEVICE(loop_device_is_found_by_any_name_of_the_file);
    DEVICE(read_only_loop_device_leaves_room_for_readers);
    DEVICE(machine_on_a_device_is_seen);
    DEVICE(machine_on_a_partition_is_seen_from_the_whole_disk_and_back);
    DEVICE(bsd_lock_is_shown_and_in_nobodys_way);
    DEVICE(device_that_cannot_be_opened_is_an_error);
    g_test_add_func("/foreign-block/network_disk_has_no_foreign_users",
                    test_network_disk_has_no_foreign_users);
    return g_test_run();
}
