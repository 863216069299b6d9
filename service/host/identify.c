#include "host/identify.h"

#include "base/error.h"
#include "base/fd.h"
#include "base/filesystem.h"
#include "base/lock-reach.h"
#include "base/text.h"
#include "host/block-device.h"
#include "host/block-identity.h"
#include "host/overlay.h"
#include "host/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Majors of terminals: virtual consoles and serial lines, /dev/tty and /dev/console, pseudo-terminals. */
static gboolean
is_terminal(dev_t device)
{
    return major(device) == 4 || major(device) == 5 || (major(device) >= 136 && major(device) <= 143);
}

static const char *
what_it_is(const struct stat *status)
{
    if (S_ISDIR(status->st_mode))
        return "a folder";
    if (S_ISFIFO(status->st_mode))
        return "a FIFO";
    if (S_ISSOCK(status->st_mode))
        return "a socket";
    if (S_ISCHR(status->st_mode))
        return is_terminal(status->st_rdev) ? "a terminal" : "a character device";
    return "of no kind that can hold data";
}

static DlkDisk *
file_new(dev_t device, ino_t inode)
{
    g_autofree char *id = dlk_file_identity(device, inode);
    DlkDisk *disk = dlk_disk_new(DLK_KIND_FILE, id);
    disk->device = device;
    disk->inode = inode;
    return disk;
}

/* @label: for messages. */
static DlkDisk *
disk_behind(int fd, const char *label, GError **error)
{
    struct stat status;
    if (fstat(fd, &status) < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "%s", label);
        return NULL;
    }
    if (S_ISBLK(status.st_mode))
        return dlk_block_device_new(status.st_rdev, &dlk_devices, error);
    if (S_ISREG(status.st_mode) && status.st_nlink > 0)
        return file_new(status.st_dev, status.st_ino);
    if (S_ISREG(status.st_mode))
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK,
                    "%s is a file without a name: nobody else could ever find it", label);
    else
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK, "%s is %s, not a disk", label,
                    what_it_is(&status));
    return NULL;
}

static void
set_lane(DlkDisk *disk, const char *lane)
{
    if (disk->lane == NULL)
        disk->lane = g_strdup(lane);
}

/* @mount: %NULL where it is not in our namespace: then only @filesystem is known, or not even that. */
static void
set_filesystem(DlkDisk *disk, const DlkMount *mount, const char *filesystem)
{
    if (disk->kind != DLK_KIND_FILE)
        return;
    disk->filesystem = g_strdup(mount != NULL ? mount->filesystem : filesystem);
    g_autofree char *limit =
        mount != NULL
            ? dlk_lock_reach_limit(mount->filesystem, mount->options)
            : g_strdup("its mount is not among those of the service, which cannot see whether it shows locks "
                       "to other hosts");
    disk->lock_limit = limit != NULL ? dlk_text_share(limit) : NULL; /* thousands of disks have one */
}

/* What an overlay shows of this file is this file. */
static void
set_overlays(DlkDisk *disk, const DlkMounts *mounts)
{
    if (disk->kind != DLK_KIND_FILE || dlk_mounts_overlays(mounts)->len == 0)
        return;
    g_autoptr(GPtrArray) merged = dlk_overlay_merged_ids(mounts, disk->path);
    if (merged->len == 0)
        return;
    g_ptr_array_add(merged, NULL);
    disk->ancestors = (char **)g_ptr_array_free(g_steal_pointer(&merged), FALSE);
}

static DlkTarget *
target_take(DlkDisk *disk, DlkResolved *place)
{
    return dlk_target_new(disk, g_steal_fd(&place->fd), g_steal_fd(&place->folder_fd), place->name);
}

DlkTarget *
dlk_identify_path(DlkMounts *mounts, const char *path, const char *lane, char **elsewhere, GError **error)
{
    *elsewhere = NULL;
    g_autoptr(DlkResolved) place = dlk_resolve(mounts, path, lane, error);
    if (place == NULL)
        return NULL;
    if (place->elsewhere != NULL) {
        *elsewhere = g_steal_pointer(&place->elsewhere);
        return NULL;
    }
    g_autofree char *label = dlk_text_printable(place->path, PATH_MAX);
    g_autoptr(DlkDisk) disk = disk_behind(place->fd, label, error);
    if (disk == NULL)
        return NULL;

    const DlkMount *mount = dlk_mounts_of_path(mounts, place->path);
    set_lane(disk, mount != NULL ? mount->lane : lane);
    set_filesystem(disk, mount, NULL);
    disk->path = g_strdup(place->path);
    set_overlays(disk, mounts);
    return target_take(disk, place);
}

/* Never waits: statx(2) with AT_STATX_DONT_SYNC tells what is known. */
static gboolean
is_file_of(const DlkMount *mount, int fd, struct statx *status)
{
    const guint wanted = STATX_TYPE | STATX_NLINK | STATX_INO | STATX_MNT_ID;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, wanted, status) == 0 &&
           (status->stx_mask & wanted) == wanted && status->stx_mnt_id == mount->id &&
           S_ISREG(status->stx_mode) && status->stx_nlink > 0;
}

DlkTarget *
dlk_identify_cached(DlkMounts *mounts, DlkResolved *place)
{
    const DlkMount *mount = dlk_mounts_of_path(mounts, place->path);
    struct statx status;
    if (mount == NULL || !dlk_filesystem_is_local(mount->filesystem) ||
        !is_file_of(mount, place->fd, &status) || dlk_overlay_may_show(mounts, place->path))
        return NULL;

    g_autoptr(DlkDisk) disk = file_new(makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino);
    set_lane(disk, mount->lane);
    set_filesystem(disk, mount, NULL);
    disk->path = g_strdup(place->path);
    return target_take(disk, place);
}

static gboolean
check_access(int fd, DlkMode mode, GError **error)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return dlk_set_error_errno(error, DLK_ERROR_INVALID_ARGS, errno, "the descriptor");
    if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_ACCMODE) {
        g_set_error_literal(
            error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED,
            "a descriptor opened with O_PATH or for ioctl(2) alone proves no access: open the disk "
            "for writing, or for reading where the mode is read-only");
        return FALSE;
    }
    if (!dlk_mode_writes(mode) || (flags & O_ACCMODE) != O_RDONLY)
        return TRUE;
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED,
        "the descriptor is open for reading only, which proves no right to use the disk %s: open it for "
        "writing, or ask for the mode read-only",
        dlk_mode_adverb(mode));
    return FALSE;
}

static const DlkMount *
mount_of_fd(const DlkMounts *mounts, int fd)
{
    guint64 id = 0;
    g_autofree char *text = dlk_fd_info(fd, "mnt_id");
    if (text == NULL || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &id, NULL))
        return NULL;
    return dlk_mounts_by_id(mounts, id);
}

/*
 * Where @fd stands, if its path as the kernel gives it leads to it in our namespace too. A path of the
 * client's own mount namespace proves nothing: the policy must not go by it, and the check for a replaced
 * file could not.
 */
static DlkResolved *
place_of_fd(const DlkMounts *mounts, const DlkMount *mount, int fd)
{
    g_autofree char *path = mount != NULL ? dlk_fd_path(fd) : NULL;
    g_autoptr(DlkResolved) place = path != NULL ? dlk_resolve(mounts, path, mount->lane, NULL) : NULL;
    struct stat theirs, ours;
    if (place == NULL || place->fd < 0 || fstat(fd, &theirs) < 0 || fstat(place->fd, &ours) < 0)
        return NULL;
    gboolean is_same = theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
    return is_same ? g_steal_pointer(&place) : NULL;
}

DlkTarget *
dlk_identify_fd(DlkMounts *mounts, int fd, DlkMode mode, const char *lane, GError **error)
{
    dlk_autofd theirs = fd;
    if (!check_access(theirs, mode, error))
        return NULL;
    g_autoptr(DlkDisk) disk = disk_behind(theirs, "the descriptor's object", error);
    if (disk == NULL)
        return NULL;

    const DlkMount *mount = mount_of_fd(mounts, theirs);
    const char *filesystem = mount != NULL ? mount->filesystem : dlk_filesystem_of_fd(theirs);
    if (g_strcmp0(filesystem, "proc") == 0) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK,
                            "the descriptor's file is in /proc, where nothing is a disk");
        return NULL;
    }
    set_lane(disk, lane);
    set_filesystem(disk, mount, filesystem);
    g_autoptr(DlkResolved) place = place_of_fd(mounts, mount, theirs);
    if (place != NULL) {
        disk->path = g_strdup(place->path);
        set_overlays(disk, mounts);
        return target_take(disk, place);
    }
    int target_fd = dlk_fd_reopen(theirs, O_PATH);
    if (target_fd < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                            "the descriptor's object cannot be opened again");
        return NULL;
    }
    return dlk_target_new(disk, target_fd, -1, NULL);
}
