#pragma once

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A loop device, which the kernel detaches when its last user has closed it, however the test ends. */
typedef struct {
    int fd;
    char *node;
} Loop;

static inline void
loop_make_file(const char *path, off_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, size), ==, 0);
    close(fd);
}

/* FALSE: somebody else took the device in between. */
static inline gboolean
loop_configure(Loop *self, int control, const struct loop_config *config)
{
    const int number = ioctl(control, LOOP_CTL_GET_FREE);
    g_assert_cmpint(number, >=, 0);
    self->node = g_strdup_printf("/dev/loop%d", number);
    self->fd = open(self->node, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(self->fd, >=, 0);
    if (ioctl(self->fd, LOOP_CONFIGURE, config) == 0)
        return TRUE;
    g_assert_cmpint(errno, ==, EBUSY);
    close(self->fd);
    g_clear_pointer(&self->node, g_free);
    return FALSE;
}

/* Shows @size bytes (0: all) of @path from @offset on. Needs root. */
static inline Loop
loop_attach_part(const char *path, guint64 offset, guint64 size, guint flags)
{
    Loop self = {.fd = -1};
    const gboolean read_only = (flags & LO_FLAGS_READ_ONLY) != 0;
    const int file = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        g_error("no loop device can be made, which takes root: %s", g_strerror(errno));
    g_assert_cmpint(file, >=, 0);
    const struct loop_config config = {.fd = (guint)file,
                                       .info = {.lo_offset = offset,
                                                .lo_sizelimit = size,
                                                .lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN | flags}};
    while (!loop_configure(&self, control, &config))
        g_usleep(10000);
    close(control);
    close(file);
    return self;
}

static inline Loop
loop_attach(const char *path)
{
    return loop_attach_part(path, 0, 0, 0);
}

static inline dev_t
loop_device(const Loop *self)
{
    struct stat status;
    g_assert_cmpint(fstat(self->fd, &status), ==, 0);
    return status.st_rdev;
}

/* Tells the kernel of a partition of a MiB, at MiB @number; returns its node. Free with g_free(). */
static inline char *
loop_add_partition(const Loop *self, int number)
{
    struct blkpg_partition partition = {.start = 1048576LL * number, .length = 1048576, .pno = number};
    struct blkpg_ioctl_arg argument = {
        .op = BLKPG_ADD_PARTITION, .datalen = sizeof partition, .data = &partition};
    g_assert_cmpint(ioctl(self->fd, BLKPG, &argument), ==, 0);
    return g_strdup_printf("%sp%d", self->node, number);
}

static inline void
loop_detach(Loop *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
    g_clear_pointer(&self->node, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Loop, loop_detach)
