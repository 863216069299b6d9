#include "backend/foreign-block.h"

#include "backend/loop-device.h"
#include "backend/mount-lines.h"
#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Devices stacked on devices: deeper than anybody builds them. */
#define MAX_DEPTH 8
/* Somebody may claim a device for a moment, as we do: asked again that often, that many µs apart. */
#define CLAIM_TRIES 5
#define CLAIM_PAUSE 20000

/* Takes @where. */
static void
add(GPtrArray *foreigners, const char *what, char *where, gboolean writes, gboolean alone)
{
    DlkForeign *foreign = g_new0(DlkForeign, 1);
    foreign->command = g_strdup("");
    foreign->what = what;
    foreign->where = where;
    foreign->writes = writes;
    foreign->alone = alone;
    g_ptr_array_add(foreigners, foreign);
}

static gboolean
has_device(GArray *numbers, dev_t device)
{
    for (guint i = 0; i < numbers->len; i++)
        if (g_array_index(numbers, dev_t, i) == device)
            return TRUE;
    return FALSE;
}

static void
add_device(GArray *numbers, const char *folder)
{
    dev_t device = 0;
    if (dlk_sysfs_block_device(folder, &device) && !has_device(numbers, device))
        g_array_append_val(numbers, device);
}

static void
add_folder(GPtrArray *folders, const char *folder)
{
    if (!g_ptr_array_find_with_equal_func(folders, folder, g_str_equal, NULL))
        g_ptr_array_add(folders, g_strdup(folder));
}

/* The nodes of the disk itself: of a path of a multipath map the map alone, which has claimed its paths. */
static GPtrArray *
find_nodes(const DlkDevices *devices, dev_t device)
{
    g_autofree char *folder = dlk_sysfs_block_folder(devices, device);
    g_autofree char *multipath = folder != NULL ? dlk_sysfs_block_multipath(folder) : NULL;
    if (folder != NULL && multipath == NULL)
        return dlk_sysfs_block_same_wwid(devices, folder);
    GPtrArray *nodes = g_ptr_array_new_with_free_func(g_free);
    if (multipath != NULL)
        g_ptr_array_add(nodes, g_steal_pointer(&multipath));
    return nodes;
}

GPtrArray *
dlk_foreign_block_bases(const DlkDevices *devices, dev_t device)
{
    GPtrArray *bases = find_nodes(devices, device);
    const guint nodes = bases->len;
    for (guint i = 0; i < nodes; i++) {
        g_autofree char *whole = dlk_sysfs_block_whole(bases->pdata[i]);
        g_autoptr(GPtrArray) partitions = dlk_sysfs_block_partitions(bases->pdata[i]);
        for (guint j = 0; j < partitions->len; j++)
            add_folder(bases, partitions->pdata[j]);
        if (whole != NULL)
            add_folder(bases, whole);
    }
    return bases;
}

/* @folder and all that is built upon it. */
static void
add_with_holders(GArray *numbers, const char *folder, guint depth)
{
    g_autoptr(GPtrArray) holders = dlk_sysfs_block_links(folder, "holders");
    add_device(numbers, folder);
    for (guint i = 0; i < holders->len && depth < MAX_DEPTH; i++) {
        g_autoptr(GPtrArray) partitions = dlk_sysfs_block_partitions(holders->pdata[i]);
        add_with_holders(numbers, holders->pdata[i], depth + 1);
        for (guint j = 0; j < partitions->len; j++)
            add_with_holders(numbers, partitions->pdata[j], depth + 1);
    }
}

static const char *
what_holder(const char *folder)
{
    g_autofree char *uuid = dlk_sysfs_block_read(folder, "dm/uuid");
    g_autofree char *level = dlk_sysfs_block_read(folder, "md/level");
    g_autofree char *mapped = dlk_sysfs_block_read(folder, "dm/name");
    if (uuid != NULL && g_str_has_prefix(uuid, "LVM-"))
        return "lvm";
    if (uuid != NULL && g_str_has_prefix(uuid, "mpath-"))
        return "multipath";
    if (mapped != NULL)
        return "dm";
    return level != NULL ? "md" : "holder";
}

static void
add_holders(GPtrArray *foreigners, const DlkDevices *devices, const char *folder)
{
    g_autoptr(GPtrArray) holders = dlk_sysfs_block_links(folder, "holders");
    for (guint i = 0; i < holders->len; i++) {
        const char *holder = holders->pdata[i];
        g_autofree char *read_only = dlk_sysfs_block_read(holder, "ro");
        add(foreigners, what_holder(holder), dlk_sysfs_block_node(devices, holder),
            g_strcmp0(read_only, "1") != 0, TRUE);
    }
}

/* These are made to be mounted by several hosts at once: they tolerate who says shared. */
static gboolean
is_shared_filesystem(const DlkMountLine *mount)
{
    return strcmp(mount->filesystem, "gfs2") == 0 || strcmp(mount->filesystem, "ocfs2") == 0;
}

static gboolean
is_node_of(const char *path, GArray *numbers)
{
    struct stat status;
    return g_str_has_prefix(path, "/dev/") && stat(path, &status) == 0 && S_ISBLK(status.st_mode) &&
           has_device(numbers, status.st_rdev);
}

/* The devices of the mounted btrfs filesystem that one of @numbers belongs to: mountinfo names but one of
 * them. */
static GArray *
with_btrfs_siblings(const DlkDevices *devices, GArray *numbers)
{
    GArray *all = g_array_copy(numbers);
    g_autofree char *root = g_build_filename(devices->sysfs, "fs/btrfs", NULL);
    g_autoptr(GDir) filesystems = g_dir_open(root, 0, NULL);
    for (const char *id = filesystems != NULL ? g_dir_read_name(filesystems) : NULL; id != NULL;
         id = g_dir_read_name(filesystems)) {
        g_autofree char *path = g_build_filename(root, id, NULL);
        g_autoptr(GPtrArray) members = dlk_sysfs_block_links(path, "devices");
        g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(dev_t));
        gboolean ours = FALSE;
        for (guint i = 0; i < members->len; i++)
            add_device(found, members->pdata[i]);
        for (guint i = 0; i < found->len; i++)
            ours = ours || has_device(numbers, g_array_index(found, dev_t, i));
        if (ours)
            g_array_append_vals(all, found->data, found->len);
    }
    return all;
}

static gboolean
is_mount_of(const DlkMountLine *mount, GArray *numbers, GArray *btrfs)
{
    /* The number that btrfs shows is no device's. */
    return has_device(numbers, mount->device) ||
           (strcmp(mount->filesystem, "btrfs") == 0 && is_node_of(mount->source, btrfs));
}

static void
add_mounts(GPtrArray *foreigners, const DlkDevices *devices, GArray *numbers)
{
    g_autofree char *text = dlk_mount_lines_read();
    g_autoptr(GPtrArray) mounts = dlk_mount_lines_parse(text);
    g_autoptr(GArray) btrfs = with_btrfs_siblings(devices, numbers);
    for (guint i = 0; i < mounts->len; i++) {
        const DlkMountLine *mount = mounts->pdata[i];
        if (is_mount_of(mount, numbers, btrfs)) {
            add(foreigners, "mount", dlk_text_printable(mount->point, 0), !mount->read_only,
                !is_shared_filesystem(mount));
        }
    }
}

/* The kernel keeps a folder for each filesystem that is mounted, in whatever namespace. */
static void
add_mounts_elsewhere(GPtrArray *foreigners, const DlkDevices *devices, const char *folder)
{
    static const char *const filesystems[] = {"ext4", "xfs", "f2fs", "erofs", "jfs"};
    g_autofree char *name = g_path_get_basename(folder);
    for (guint i = 0; i < G_N_ELEMENTS(filesystems); i++) {
        g_autofree char *path = g_build_filename(devices->sysfs, "fs", filesystems[i], name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR))
            add(foreigners, "mount", NULL, TRUE, TRUE);
    }
}

/* "/dev/sda2  partition  …", one line each after the first; odd characters as in mountinfo. */
static gboolean
is_swap(const char *line, dev_t file_device, ino_t inode, GArray *numbers, char **where)
{
    g_auto(GStrv) field = g_strsplit_set(line, " \t", 2);
    struct stat status;
    if (field[0] == NULL || field[0][0] != '/')
        return FALSE;
    g_autofree char *path = dlk_mount_line_unescape(field[0]);
    if (stat(path, &status) < 0)
        return FALSE;
    *where = dlk_text_printable(path, 0);
    if (S_ISBLK(status.st_mode))
        return numbers != NULL && has_device(numbers, status.st_rdev);
    return numbers == NULL && status.st_dev == file_device && status.st_ino == inode;
}

/*
 * The kernel's list of swap space, or %NULL where there is none: then it is the line of titles alone. Asked
 * for every disk, and so by one descriptor that stays open: that costs half a microsecond, opening it ten.
 */
static char *
read_swaps(void)
{
    static gsize opened = 0;
    static int fd = -1;
    char titles[64];

    if (g_once_init_enter(&opened)) {
        fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
        g_once_init_leave(&opened, 1);
    }
    const ssize_t length = fd >= 0 ? pread(fd, titles, sizeof titles, 0) : 0;
    const char *end = length > 0 ? memchr(titles, '\n', (size_t)length) : NULL;
    char *text = NULL;
    if (end == NULL || end + 1 == titles + length)
        return NULL;
    return g_file_get_contents("/proc/swaps", &text, NULL, NULL) ? text : NULL;
}

/* @numbers: block devices, or %NULL to ask for the file @file_device, @inode. */
static void
add_swaps(GPtrArray *foreigners, dev_t file_device, ino_t inode, GArray *numbers)
{
    g_autofree char *text = read_swaps();
    if (text == NULL)
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i] != NULL; i++) {
        g_autofree char *where = NULL;
        if (is_swap(lines[i], file_device, inode, numbers, &where))
            add(foreigners, "swap", g_steal_pointer(&where), TRUE, TRUE);
    }
}

static gboolean
is_claimed(int place)
{
    for (guint tries = 0; tries < CLAIM_TRIES; tries++) {
        dlk_autofd fd = dlk_fd_reopen(place, O_RDONLY | O_EXCL);
        if (fd >= 0 || errno != EBUSY)
            return FALSE;
        g_usleep(CLAIM_PAUSE);
    }
    return TRUE;
}

static void
add_claims(GPtrArray *foreigners, const DlkTarget *target, const DlkDevices *devices)
{
    g_autoptr(GPtrArray) nodes = find_nodes(devices, target->disk->device);
    for (guint i = 0; i < nodes->len; i++) {
        dev_t device = 0;
        const gboolean is_target =
            dlk_sysfs_block_device(nodes->pdata[i], &device) && device == target->disk->device;
        dlk_autofd opened = is_target ? -1 : dlk_sysfs_block_open(devices, nodes->pdata[i]);
        const int place = is_target ? target->fd : opened;
        if (place >= 0 && is_claimed(place)) {
            add(foreigners, "claim", NULL, TRUE, TRUE);
            return;
        }
    }
}

void
dlk_foreign_block_find(GPtrArray *foreigners, const DlkTarget *target, const DlkDevices *devices)
{
    const guint before = foreigners->len;
    g_autoptr(GPtrArray) bases = dlk_foreign_block_bases(devices, target->disk->device);
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(dev_t));
    g_array_append_val(numbers, target->disk->device);
    for (guint i = 0; i < bases->len; i++)
        add_with_holders(numbers, bases->pdata[i], 0);
    add_mounts(foreigners, devices, numbers);
    add_swaps(foreigners, 0, 0, numbers);
    for (guint i = 0; i < bases->len; i++)
        add_holders(foreigners, devices, bases->pdata[i]);
    for (guint i = 0; i < bases->len && foreigners->len == before; i++)
        add_mounts_elsewhere(foreigners, devices, bases->pdata[i]);
    if (foreigners->len == before)
        add_claims(foreigners, target, devices);
}

void
dlk_foreign_file_find(GPtrArray *foreigners, const DlkTarget *target, const DlkDevices *devices)
{
    const DlkDisk *disk = target->disk;
    g_autoptr(GPtrArray) loops = dlk_loop_devices_on_file(devices, disk->device, disk->inode);
    add_swaps(foreigners, disk->device, disk->inode, NULL);
    for (guint i = 0; i < loops->len; i++) {
        g_autofree char *read_only = dlk_sysfs_block_read(loops->pdata[i], "ro");
        add(foreigners, "loop", dlk_sysfs_block_node(devices, loops->pdata[i]),
            g_strcmp0(read_only, "1") != 0, TRUE);
    }
}
