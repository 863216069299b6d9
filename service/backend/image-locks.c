#include "backend/image-locks.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* A network filesystem may be interrupted in either; the thread has no signal to heed. */
static gboolean
control(int fd, int command, struct flock *lock)
{
    int result;
    do {
        result = fcntl(fd, command, lock);
    } while (result < 0 && errno == EINTR);
    return result == 0;
}

static DlkByteState
ask(int fd, guint first, guint last, short type, pid_t *pid)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = (off_t)last - first + 1};
    if (pid != NULL)
        *pid = 0;
    if (!control(fd, F_OFD_GETLK, &lock))
        return DLK_BYTE_UNKNOWN;
    if (lock.l_type == F_UNLCK)
        return DLK_BYTE_FREE;
    /* -1: an OFD lock; other negative numbers: a process on another host. */
    if (pid != NULL)
        *pid = MAX(lock.l_pid, 0);
    return lock.l_type == F_WRLCK ? DLK_BYTE_WRITE_LOCKED : DLK_BYTE_READ_LOCKED;
}

DlkByteState
dlk_image_locks_ask(int fd, guint first, guint last, pid_t *pid)
{
    return ask(fd, first, last, F_WRLCK, pid);
}

DlkByteState
dlk_image_locks_ask_for_writer(int fd, guint byte, pid_t *pid)
{
    return ask(fd, byte, byte, F_RDLCK, pid);
}

gboolean
dlk_image_locks_set(int fd, guint byte, short type)
{
    return dlk_image_locks_set_range(fd, byte, 1, type);
}

gboolean
dlk_image_locks_set_range(int fd, guint first, guint length, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = (off_t)length};
    return control(fd, F_OFD_SETLK, &lock);
}

gboolean
dlk_image_locks_clear(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    return control(fd, F_OFD_SETLK, &lock);
}
