#include "backend/lock-file.h"

#include "backend/image-locks.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How often a file may vanish between the question whether it is there and the answer. */
#define MAX_TRIES 8

char *
dlk_lock_file_name(const char *identity)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, identity, -1);
    return g_strconcat(hash, ".lock", NULL);
}

int
dlk_lock_file_open_existing(int folder, const char *name, int flags)
{
    /* O_NONBLOCK: a FIFO that somebody left there must not hold us. */
    return openat(folder, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* A hint for people, who cannot read a hash: nobody needs it to be there. */
static void
write_identity(int fd, const char *identity)
{
    g_autofree char *clean = dlk_text_printable(identity, DLK_LOCK_FILE_HEADER / 2);
    g_autofree char *line = g_strdup_printf("disklock-lock 1 %s\n", clean);
    if (pwrite(fd, line, strlen(line), 0) < 0)
        g_debug("cannot write to a lock file: %s", g_strerror(errno));
}

static int
open_or_make(int folder, const char *name)
{
    for (guint tries = 0; tries < MAX_TRIES; tries++) {
        int fd = dlk_lock_file_open_existing(folder, name, O_RDWR);
        if (fd >= 0 || errno != ENOENT)
            return fd;
        fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    errno = EAGAIN;
    return -1;
}

static const char *
what_is_wrong(const struct stat *status)
{
    if (!S_ISREG(status->st_mode))
        return "is not a regular file";
    if (status->st_uid != 0)
        return "does not belong to root";
    if ((status->st_mode & 077) != 0)
        return "may be opened by others than root";
    return status->st_nlink > 1 ? "has a second name" : NULL;
}

int
dlk_lock_file_open(int folder, const char *name, const char *identity, GError **error)
{
    struct stat status;
    dlk_autofd fd = open_or_make(folder, name);
    if (fd < 0 || fstat(fd, &status) < 0) {
        if (errno == ELOOP)
            g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                        "the lock file %s is a symbolic link: look at who made it, and remove it", name);
        else
            dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "the lock file %s", name);
        return -1;
    }
    const char *wrong = what_is_wrong(&status);
    if (wrong == NULL) {
        /* Whoever made it may have come no further. */
        if (status.st_size == 0)
            write_identity(fd, identity);
        return g_steal_fd(&fd);
    }
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                "the lock file %s %s: look at who made it, and remove it", name, wrong);
    return -1;
}

gboolean
dlk_lock_file_is(int folder, const char *name, const struct stat *opened)
{
    struct stat found;
    /* Opened, and not only looked at: NFS asks its server afresh at an open, and at a stat it may not. */
    dlk_autofd fd = dlk_lock_file_open_existing(folder, name, O_RDONLY);
    if (fd < 0 || fstat(fd, &found) < 0) {
        if (errno == ENOENT || errno == ELOOP)
            errno = 0;
        return FALSE;
    }
    errno = 0;
    return found.st_dev == opened->st_dev && found.st_ino == opened->st_ino;
}
