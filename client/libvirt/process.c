#include "process.h"

#include "text.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    mode_t type;
    unsigned int major, minor;
    uint64_t inode; /* files */
} Identity;

static bool
identify(int folder, const char *path, int flags, Identity *identity)
{
    struct statx status;

    if (statx(folder, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &status) <
        0)
        return false;
    *identity = (Identity){.type = status.stx_mode & S_IFMT};
    if (S_ISBLK(status.stx_mode)) {
        identity->major = status.stx_rdev_major;
        identity->minor = status.stx_rdev_minor;
    } else {
        identity->major = status.stx_dev_major;
        identity->minor = status.stx_dev_minor;
        identity->inode = status.stx_ino;
    }
    return true;
}

/* The walk along @path is made in the kernel's cache or not at all: openat2(2). */
static bool
identify_path(const char *path, Identity *identity)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED};
    DLK_AUTOCLOSE int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);

    return fd >= 0 && identify(fd, "", AT_EMPTY_PATH, identity);
}

static bool
is_same(const Identity *a, const Identity *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor && a->inode == b->inode;
}

/* By its name, which may be another file's by now: for what the kernel cannot look up. */
static bool
is_opened_as(int folder, const char *name, const char *path)
{
    char target[PATH_MAX];
    const ssize_t length = readlinkat(folder, name, target, sizeof target);

    return length > 0 && (size_t)length == strlen(path) && memcmp(target, path, (size_t)length) == 0;
}

/* The mode of the link says how the descriptor was opened: proc_pid_fd(5). */
static bool
is_writable(int folder, const char *name)
{
    struct stat status;

    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_mode & S_IWUSR;
}

DlkOpen
dlk_process_has_open(pid_t pid, const char *path)
{
    DLK_AUTOFREE char *folder = dlk_format("/proc/%d/fd", (int)pid);
    Identity wanted, found;
    const struct dirent *entry;
    DlkOpen open = DLK_OPEN_NO;

    if (*path != '/')
        return DLK_OPEN_UNKNOWN;
    DIR *descriptors = opendir(folder);
    if (!descriptors)
        return DLK_OPEN_UNKNOWN;
    const bool is_known = identify_path(path, &wanted);
    const int fds = dirfd(descriptors);
    while (open != DLK_OPEN_WRITABLE && (entry = readdir(descriptors)))
        if (*entry->d_name != '.' &&
            (is_known ? identify(fds, entry->d_name, 0, &found) && is_same(&found, &wanted)
                      : is_opened_as(fds, entry->d_name, path)))
            open = is_writable(fds, entry->d_name) ? DLK_OPEN_WRITABLE : DLK_OPEN_READ_ONLY;
    closedir(descriptors);
    return open == DLK_OPEN_NO && !is_known ? DLK_OPEN_UNKNOWN : open;
}
