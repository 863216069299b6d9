#include "process.h"

#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Descriptors are read one after the other: one that is opened anew under a number that has been passed, and
 * closed under the one that is to come, is missed, as when QEMU reopens a file. */
#define LOOKS 3

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

/* service/host/block-identity.c makes it. Nothing is looked up for it: it is what it was. */
static bool
read_identity(const char *disk, Identity *identity)
{
    *identity = (Identity){.type = S_IFREG};
    if (sscanf(disk, "file:%u:%u:%" SCNu64, &identity->major, &identity->minor, &identity->inode) == 3)
        return true;
    *identity = (Identity){.type = S_IFBLK};
    return sscanf(disk, "block:%u:%u", &identity->major, &identity->minor) == 2;
}

static bool
is_same(const Identity *a, const Identity *b)
{
    return a->type == b->type && a->major == b->major && a->minor == b->minor && a->inode == b->inode;
}

/* By its name, which may be another file's by now: on some filesystems a file has another number each time.
 */
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

/* What is wanted: by what it is, %NULL where that is not known, and by its name. */
typedef struct {
    const Identity *identity;
    const char *path;
} Wanted;

static DlkOpen
look_at(int folder, const char *name, const Wanted *wanted)
{
    Identity found;
    const bool is_seen = wanted->identity && identify(folder, name, 0, &found);

    if (wanted->identity && !is_seen && errno == ENOENT)
        return DLK_OPEN_NO; /* closed meanwhile */
    if ((is_seen && is_same(&found, wanted->identity)) || is_opened_as(folder, name, wanted->path))
        return is_writable(folder, name) ? DLK_OPEN_WRITABLE : DLK_OPEN_READ_ONLY;
    return is_seen ? DLK_OPEN_NO : DLK_OPEN_UNKNOWN;
}

static int
open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static DlkOpen
look_at_all(pid_t pid, const Wanted *wanted)
{
    DLK_AUTOFREE char *folder = dlk_format("/proc/%d/fd", (int)pid);
    const struct dirent *entry;
    DlkOpen open = wanted->identity ? DLK_OPEN_NO : DLK_OPEN_UNKNOWN;
    const int links = open_folder(folder);
    DIR *descriptors = links >= 0 ? fdopendir(links) : NULL;

    if (!descriptors) {
        if (links >= 0)
            close(links);
        return DLK_OPEN_UNKNOWN;
    }
    while (open != DLK_OPEN_WRITABLE && (entry = readdir(descriptors))) {
        const DlkOpen one = *entry->d_name == '.' ? DLK_OPEN_NO : look_at(links, entry->d_name, wanted);
        if (one > open)
            open = one;
    }
    closedir(descriptors);
    return open;
}

DlkOpen
dlk_process_has_open(pid_t pid, const char *disk, const char *path)
{
    Identity identity;
    Wanted wanted = {NULL, path};

    if (*path != '/')
        return DLK_OPEN_UNKNOWN;
    if ((disk && read_identity(disk, &identity)) || identify_path(path, &identity))
        wanted.identity = &identity;
    DlkOpen open = DLK_OPEN_NO;
    for (int i = 0; i < LOOKS && open == DLK_OPEN_NO; i++)
        open = look_at_all(pid, &wanted);
    return open;
}
