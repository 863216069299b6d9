#include "base/file.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean
write_all(int fd, const char *text)
{
    gsize left = strlen(text);
    while (left > 0) {
        const gssize written = write(fd, text, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return FALSE;
        text += written;
        left -= (gsize)written;
    }
    return TRUE;
}

/* The new name of a file is safe from a crash only when its folder is on the disk too. */
static gboolean
sync_folder_of(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    dlk_autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && g_fsync(fd) == 0;
}

/* A file that is there already keeps its owner and who may read it. */
static gboolean
keep_access(const char *path, int fd)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return errno == ENOENT;
    return fchown(fd, status.st_uid, status.st_gid) == 0 && fchmod(fd, status.st_mode & 07777) == 0;
}

gboolean
dlk_file_replace(const char *path, const char *text, GError **error)
{
    g_autofree char *temporary = g_strconcat(path, ".XXXXXX", NULL);
    dlk_autofd fd = g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "Cannot create %s", temporary);
    if (!keep_access(path, fd) || !write_all(fd, text) || g_fsync(fd) < 0 || rename(temporary, path) < 0) {
        const int errsv = errno;
        unlink(temporary);
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "Cannot write %s", path);
    }
    if (!sync_folder_of(path)) {
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "Cannot make %s safe from a crash",
                                   path);
    }
    return TRUE;
}
