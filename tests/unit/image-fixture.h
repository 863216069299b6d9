#pragma once

#include "backend/backends.h"
#include "base/error.h"
#include "other-process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#define IMAGE_SIZE (1024 * 1024)

/* A folder of its own with one image in it, as the service would have found it. */
typedef struct {
    char *folder;
    char *path;
    DlkTarget *target;
    DlkRule *rule;
} Image;

static inline void
image_write(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, IMAGE_SIZE), ==, 0);
    close(fd);
}

static inline DlkTarget *
image_target(const char *folder, const char *path, const char *name)
{
    const int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat status;
    g_assert_cmpint(fstat(fd, &status), ==, 0);
    g_autofree char *id = g_strdup_printf("file:0:0:%" G_GUINT64_FORMAT, (guint64)status.st_ino);
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, id);
    disk->path = g_strdup(path);
    disk->filesystem = g_strdup("ext4");
    disk->device = status.st_dev;
    disk->inode = status.st_ino;
    return dlk_target_new(disk, fd, open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), name);
}

static inline void
image_set_up(Image *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    self->folder = g_dir_make_tmp("disklock-test-XXXXXX", &error);
    g_assert_no_error(error);
    self->path = g_build_filename(self->folder, "disk.img", NULL);
    image_write(self->path);
    self->target = image_target(self->folder, self->path, "disk.img");
    self->rule = dlk_rule_new("test");
}

static inline void
image_tear_down(Image *self, gconstpointer data)
{
    g_autoptr(GDir) entries = g_dir_open(self->folder, 0, NULL);
    for (const char *name = g_dir_read_name(entries); name != NULL; name = g_dir_read_name(entries)) {
        g_autofree char *path = g_build_filename(self->folder, name, NULL);
        g_assert_cmpint(g_unlink(path), ==, 0);
    }
    g_assert_cmpint(g_rmdir(self->folder), ==, 0);
    dlk_target_unref(self->target);
    dlk_rule_unref(self->rule);
    g_free(self->path);
    g_free(self->folder);
}

static inline char *
image_sibling(const Image *self, const char *name)
{
    return g_build_filename(self->folder, name, NULL);
}

/* The work of another process: one lock on the image. */
typedef struct {
    const char *path;
    int command; /* F_SETLK: as virtlockd and lockf(3) do, F_OFD_SETLK: as QEMU does */
    short type;
    int first, last; /* -1: to the end */
} ImageLock;

static inline void
image_lock(gconstpointer data)
{
    const ImageLock *wanted = data;
    struct flock lock = {.l_type = wanted->type,
                         .l_whence = SEEK_SET,
                         .l_start = wanted->first,
                         .l_len = wanted->last < 0 ? 0 : wanted->last - wanted->first + 1};
    const int fd = open(wanted->path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fcntl(fd, wanted->command, &lock) < 0)
        _exit(1);
}

/* Another process named @name that holds such a lock. */
static inline OtherProcess
image_lock_elsewhere(const Image *self, const char *name, int command, short type, int first, int last)
{
    const ImageLock lock = {self->path, command, type, first, last};
    return other_process_start(name, image_lock, &lock);
}

/* Would a process beside this one be refused such a lock? Asked by a description that nobody else has. */
static inline gboolean
image_refuses(const Image *self, short type, int byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    const int fd = open(self->path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fcntl(fd, F_OFD_GETLK, &lock), ==, 0);
    close(fd);
    return lock.l_type != F_UNLCK;
}

/* Each lock has descriptors of its own. */
static inline DlkTarget *
image_open_again(const Image *image)
{
    const DlkTarget *target = image->target;
    const int fd = dlk_fd_reopen(target->fd, O_PATH);
    const int folder_fd = fcntl(target->folder_fd, F_DUPFD_CLOEXEC, 0);
    return dlk_target_new(target->disk, fd, folder_fd, target->name);
}

/* A hold of the fcntl backend, or %NULL with an error. */
static inline DlkHold *
image_try(Image *image, DlkMode mode, gboolean strict, GError **error)
{
    DlkBackend *backend = dlk_backends_get("fcntl");
    g_autoptr(DlkTarget) target = image_open_again(image);
    g_autoptr(DlkHold) hold = dlk_hold_new(backend, target, mode, strict, 0);
    return dlk_backend_acquire(backend, hold, image->rule, error) ? g_steal_pointer(&hold) : NULL;
}

static inline DlkHold *
image_take(Image *image, DlkMode mode, gboolean strict)
{
    g_autoptr(GError) error = NULL;
    DlkHold *hold = image_try(image, mode, strict, &error);
    g_assert_no_error(error);
    g_assert_cmpint(hold->fd, >=, 0);
    return hold;
}

static inline void
image_give_back(DlkHold *hold)
{
    g_autoptr(GError) error = NULL;
    dlk_backend_release(hold->backend, hold, &error);
    g_assert_no_error(error);
}

static inline void
image_assert_check(DlkHold *hold, DlkCheck expected, const char *expected_reason)
{
    g_autofree char *reason = NULL;
    g_assert_cmpint((gint)dlk_backend_check(hold->backend, hold, &reason), ==, (gint)expected);
    g_assert_cmpstr(reason, ==, expected_reason);
}
