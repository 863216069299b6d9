#include "bare-lock.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As long as the record of a lease. */
#define RECORD_LENGTH 460

struct _BareLock {
    char *name;
    int folder_fd, path_fd, fd, watch;
};

/* The service's own, one for all locks. */
static int inotify_fd = -1, journal_fd = -1;

static int
open_cached(int folder_fd, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof how);
}

static void
write_record(gsize length)
{
    char record[RECORD_LENGTH];

    if (journal_fd < 0)
        journal_fd = memfd_create("journal", MFD_CLOEXEC);
    memset(record, 'x', sizeof record);
    (void)!pwrite(journal_fd, record, length, 0);
}

BareLock *
bare_lock_find(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    const int folder_fd = open_cached(AT_FDCWD, folder);
    struct statx look;

    if (folder_fd < 0)
        return NULL;
    BareLock *self = g_new0(BareLock, 1);
    self->name = g_path_get_basename(path);
    self->folder_fd = folder_fd;
    self->path_fd = open_cached(folder_fd, self->name);
    (void)statx(self->path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &look);
    return self;
}

void
bare_lock_take(BareLock *self)
{
    struct flock lease = {.l_type = F_WRLCK, .l_len = 1};
    struct flock image = {.l_type = F_WRLCK, .l_start = 100, .l_len = 200};
    struct statx look;
    char path[32];

    g_snprintf(path, sizeof path, "/proc/self/fd/%d", self->path_fd);
    self->fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    (void)fcntl(self->fd, F_OFD_SETLK, &lease);
    (void)fcntl(self->fd, F_OFD_GETLK, &image);
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", self->folder_fd);
    if (inotify_fd < 0)
        inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    self->watch = inotify_add_watch(inotify_fd, path, IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
    (void)statx(self->folder_fd, self->name, AT_SYMLINK_NOFOLLOW, STATX_NLINK | STATX_INO, &look);
    write_record(RECORD_LENGTH);
}

void
bare_lock_give_up(BareLock *self)
{
    struct flock all = {.l_type = F_UNLCK};

    write_record(1);
    (void)fcntl(self->fd, F_OFD_SETLK, &all);
}

void
bare_lock_close(gpointer data)
{
    BareLock *self = data;

    close(self->fd);
    close(self->path_fd);
    close(self->folder_fd);
    g_free(self->name);
    g_free(self);
}
