#include "host/related.h"

#include "backend/loop-device.h"
#include "base/fd.h"
#include "base/text.h"
#include "host/block-identity.h"
#include "host/overlay.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MAX_DEPTH 8
#define MAX_RELATED 512

static void
related_free(gpointer data)
{
    DlkRelated *related = data;
    g_free(related->id);
    g_free(related->path);
    g_free(related);
}

/* Where the walk through devices and files stands. */
typedef struct {
    const DlkDevices *devices;
    GPtrArray *found;
    GPtrArray *seen; /* folders in sysfs */
} Walk;

static void
walk_clear(Walk *walk)
{
    g_ptr_array_unref(walk->seen);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Walk, walk_clear)

/* Takes @id and @path. */
static void
add(Walk *walk, char *id, char *path, const char *relation)
{
    DlkRelated *related = g_new0(DlkRelated, 1);
    related->id = id;
    related->path = path;
    related->relation = relation;
    g_ptr_array_add(walk->found, related);
}

/* FALSE: it was there before, or there are too many. */
static gboolean
see(Walk *walk, const char *folder)
{
    if (walk->found->len >= MAX_RELATED ||
        g_ptr_array_find_with_equal_func(walk->seen, folder, g_str_equal, NULL))
        return FALSE;
    g_ptr_array_add(walk->seen, g_strdup(folder));
    return TRUE;
}

static gboolean
add_device(Walk *walk, const char *folder, const char *relation)
{
    if (!see(walk, folder))
        return FALSE;
    g_autofree char *id = dlk_block_identity(walk->devices, folder, NULL);
    if (id == NULL)
        return FALSE;
    add(walk, g_steal_pointer(&id), dlk_sysfs_block_node(walk->devices, folder), relation);
    return TRUE;
}

static void
add_backing(Walk *walk, const char *folder)
{
    DlkLoopBacking backing;
    if (dlk_loop_device_ask(walk->devices, folder, &backing) != DLK_LOOP_SET_UP)
        return;
    g_autofree char *below =
        backing.node_of != 0 ? dlk_sysfs_block_folder(walk->devices, backing.node_of) : NULL;
    if (backing.node_of == 0)
        add(walk, dlk_file_identity(backing.device, backing.inode),
            dlk_sysfs_block_read(folder, "loop/backing_file"), "backing file");
    else if (below != NULL)
        (void)add_device(walk, below, "device below");
}

/* Everything that @folder is a part of or made of. */
static void
walk_down(Walk *walk, const char *folder, guint depth)
{
    g_autofree char *whole = dlk_sysfs_block_whole(folder);
    if (depth > MAX_DEPTH)
        return;
    if (whole != NULL) {
        if (add_device(walk, whole, "whole disk"))
            walk_down(walk, whole, depth + 1);
        return;
    }
    add_backing(walk, folder);
    g_autoptr(GPtrArray) below = dlk_sysfs_block_links(folder, "slaves");
    for (guint i = 0; i < below->len; i++)
        if (add_device(walk, below->pdata[i], "device below"))
            walk_down(walk, below->pdata[i], depth + 1);
}

/* Its partitions, what is made of it and of them, and so on. */
static void
walk_up(Walk *walk, const char *folder, guint depth)
{
    g_autoptr(GPtrArray) partitions = dlk_sysfs_block_partitions(folder);
    g_autoptr(GPtrArray) above = dlk_sysfs_block_links(folder, "holders");
    for (guint i = 0; i < partitions->len && depth <= MAX_DEPTH; i++)
        if (add_device(walk, partitions->pdata[i], "partition"))
            walk_up(walk, partitions->pdata[i], depth + 1);
    for (guint i = 0; i < above->len && depth <= MAX_DEPTH; i++)
        if (add_device(walk, above->pdata[i], "device above"))
            walk_up(walk, above->pdata[i], depth + 1);
}

static void
add_node(Walk *walk, const char *folder, GPtrArray *nodes)
{
    if (add_device(walk, folder, "other path"))
        g_ptr_array_add(nodes, g_strdup(folder));
}

/* One disk with several nodes: a multipath map and its paths, which a walk would take for other disks. */
static void
add_other_paths(Walk *walk, const char *folder, GPtrArray *nodes)
{
    g_autofree char *above = dlk_sysfs_block_multipath(folder);
    const char *map = above != NULL ? above : folder;
    g_autofree char *uuid = dlk_sysfs_block_read(map, "dm/uuid");
    const gboolean is_map = uuid != NULL && g_str_has_prefix(uuid, "mpath-");
    g_autoptr(GPtrArray) paths =
        is_map ? dlk_sysfs_block_links(map, "slaves") : dlk_sysfs_block_same_wwid(walk->devices, folder);
    if (is_map)
        add_node(walk, map, nodes);
    for (guint i = 0; i < paths->len; i++)
        add_node(walk, paths->pdata[i], nodes);
}

static void
find_of_block_device(Walk *walk, dev_t device)
{
    g_autofree char *folder = dlk_sysfs_block_folder(walk->devices, device);
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(g_free);
    if (folder == NULL)
        return;
    (void)see(walk, folder);
    g_ptr_array_add(nodes, g_strdup(folder));
    add_other_paths(walk, folder, nodes);
    for (guint i = 0; i < nodes->len; i++) {
        walk_down(walk, nodes->pdata[i], 0);
        walk_up(walk, nodes->pdata[i], 0);
    }
}

static void
add_file(Walk *walk, const char *path, const char *relation)
{
    struct stat status;
    dlk_autofd fd = path != NULL ? open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        add(walk, dlk_file_identity(status.st_dev, status.st_ino), dlk_text_printable(path, 0), relation);
}

static void
find_of_file(Walk *walk, const DlkMounts *mounts, const DlkDisk *disk)
{
    g_autoptr(GPtrArray) loops = dlk_loop_devices_on_file(walk->devices, disk->device, disk->inode);
    for (guint i = 0; i < loops->len; i++)
        if (add_device(walk, loops->pdata[i], "loop device"))
            walk_up(walk, loops->pdata[i], 0);
    const DlkMount *mount = disk->path != NULL ? dlk_mounts_of_path(mounts, disk->path) : NULL;
    if (mount != NULL && g_str_equal(mount->filesystem, "overlay")) {
        g_autofree char *upper = dlk_overlay_upper_path(mount, disk->path);
        add_file(walk, upper, "overlay's upper file");
    }
    GPtrArray *overlays = dlk_mounts_overlays(mounts);
    for (guint i = 0; disk->path != NULL && i < overlays->len; i++) {
        g_autofree char *merged = dlk_overlay_merged_path(overlays->pdata[i], disk->path);
        add_file(walk, merged, "overlay's file");
    }
}

GPtrArray *
dlk_related_find(const DlkMounts *mounts, const DlkTarget *target, const DlkDevices *devices)
{
    GPtrArray *found = g_ptr_array_new_with_free_func(related_free);
    g_auto(Walk) walk = {devices, found, g_ptr_array_new_with_free_func(g_free)};
    if (target->disk->kind == DLK_KIND_BLOCK)
        find_of_block_device(&walk, target->disk->device);
    else if (target->disk->kind == DLK_KIND_FILE)
        find_of_file(&walk, mounts, target->disk);
    return found;
}
