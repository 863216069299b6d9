#include "backend/lockspace-folder.h"

#include "backend/mount-lines.h"
#include "backend/shared-locks.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/lock-reach.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static gboolean
refuse(const DlkRule *rule, GError **error, const char *what)
{
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "the lockspace %s of the policy's rule \"%s\" %s",
                rule->lockspace, rule->name, what);
    return FALSE;
}

/* Who may write to a folder may put a file of his own in the place of a lock file. Not so where the sticky
 * bit is set: but there he could be the first to make the lockspace itself, which is looked at too. */
static gboolean
is_safe(const DlkRule *rule, int fd, gboolean is_lockspace, GError **error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "the lockspace %s",
                                   rule->lockspace);
    if (status.st_uid != 0)
        return refuse(rule, error,
                      is_lockspace
                          ? "does not belong to root: chown root it, and look at who made it"
                          : "stands below a folder that does not belong to root, who could replace it");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (!is_lockspace && (status.st_mode & S_ISVTX) != 0))
        return TRUE;
    return refuse(rule, error,
                  is_lockspace ? "may be written by others than root: chmod go-w it"
                               : "stands below a folder that others than root may write: chmod go-w that");
}

static int
open_part(const DlkRule *rule, int above, const char *name, GError **error)
{
    const int fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    const int errsv = errno;
    struct stat status;
    if (errsv == ENOENT)
        refuse(rule, error, "does not exist: is its filesystem mounted? If so, make it, for root alone");
    else if (errsv == ENOTDIR && fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
             S_ISLNK(status.st_mode))
        refuse(rule, error, "is, or stands below, a symbolic link: name where it really is");
    else if (errsv == ENOTDIR)
        refuse(rule, error, "is, or stands below, something that is not a folder");
    else
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "the lockspace %s", rule->lockspace);
    return -1;
}

/* From the root down, each part by the descriptor of the one above: nothing is looked up twice. */
int
dlk_lockspace_folder_open(const DlkRule *rule, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(rule->lockspace + 1, "/", -1);
    dlk_autofd fd = open_part(rule, AT_FDCWD, "/", error);
    for (guint i = 0; parts[i] != NULL; i++) {
        if (fd < 0 || !is_safe(rule, fd, FALSE, error))
            return -1;
        const int next = open_part(rule, fd, parts[i], error);
        dlk_close_fd(&fd);
        fd = next;
    }
    return fd >= 0 && is_safe(rule, fd, TRUE, error) ? g_steal_fd(&fd) : -1;
}

static DlkMountLine *
find_mount(const DlkRule *rule)
{
    g_autofree char *mountinfo = dlk_mount_lines_read();
    return dlk_mount_line_of_path(mountinfo, rule->lockspace);
}

char *
dlk_lockspace_folder_filesystem(const DlkRule *rule)
{
    g_autoptr(DlkMountLine) mount = find_mount(rule);
    return mount != NULL ? g_strdup(mount->filesystem) : NULL;
}

char *
dlk_lockspace_folder_unseen_loss(const DlkRule *rule)
{
    g_autoptr(DlkMountLine) mount = find_mount(rule);
    if (mount == NULL)
        return NULL;
    g_autofree char *limit = dlk_lock_reach_limit(mount->filesystem, mount->options);
    return limit == NULL ? dlk_shared_locks_unseen_loss(mount->filesystem) : NULL;
}

char *
dlk_lockspace_folder_limit(const DlkRule *rule)
{
    g_autoptr(DlkMountLine) mount = find_mount(rule);
    if (mount != NULL)
        return dlk_lock_reach_limit(mount->filesystem, mount->options);
    return g_strdup("its mount is not among those of the service");
}

gboolean
dlk_lockspace_folder_suffices(const DlkRule *rule, GError **error)
{
    g_autofree char *limit = dlk_lockspace_folder_limit(rule);
    g_autofree char *filesystem = limit == NULL ? dlk_lockspace_folder_filesystem(rule) : NULL;
    if (dlk_shared_locks_are_mandatory_on(filesystem, limit))
        return refuse(
            rule, error,
            "is on CIFS, where nobody can read what another host has locked, its records: mount there what "
            "all hosts share by NFS, say");
    if (limit == NULL || rule->reach == DLK_REACH_HOST)
        return TRUE;
    g_autofree char *what = g_strdup_printf(
        "keeps out nobody on other hosts: %s; mount there what all hosts share, in a way that "
        "shows locks to all, or, where this host alone is to be protected, say reach=host",
        limit);
    return refuse(rule, error, what);
}
