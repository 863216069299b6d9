#include "backend/image-locks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER_STACK 65536

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

typedef struct {
    pid_t parent;
    int fd;
    struct flock lock;
} Helped;

static int
help(void *data)
{
    Helped *helped = data;
    /* Waiting for a server, it would keep what we have open, our place on the bus too, though we have ended.
     */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != helped->parent)
        _exit(ECHILD);
    _exit(control(helped->fd, F_OFD_SETLK, &helped->lock) ? 0 : errno);
}

/*
 * CIFS takes the locks of an open file description away when the process that took them closes any copy of
 * it, or ends (Linux, fs/smb/client/smb2file.c, smb2_unlock_range: it looks at the process, though they are
 * not POSIX locks). So they are taken by a process that has ended by then, and has closed nothing: it shares
 * our descriptors, and not our number.
 */
static gboolean
set_by_helper(int fd, const struct flock *lock)
{
    Helped helped = {getpid(), fd, *lock};
    g_autofree char *stack = g_malloc(HELPER_STACK);
    int status = 0;
    const pid_t helper = clone(help, stack + HELPER_STACK, CLONE_FILES | SIGCHLD, &helped);
    if (helper < 0)
        return FALSE;
    pid_t ended;
    do
        ended = waitpid(helper, &status, 0);
    while (ended < 0 && errno == EINTR);
    const int failure = ended == helper && WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
    /* CIFS says by EACCES that somebody else has it (fcntl(2) allows both). */
    errno = failure == EACCES ? EAGAIN : failure;
    return failure == 0;
}

static DlkByteState
ask(int fd, guint64 first, guint64 last, short type, pid_t *pid)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)first, .l_len = (off_t)(last - first + 1)};
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
dlk_image_locks_ask(int fd, guint64 first, guint64 last, pid_t *pid)
{
    return ask(fd, first, last, F_WRLCK, pid);
}

DlkByteState
dlk_image_locks_ask_for_writer(int fd, guint64 first, guint64 last, pid_t *pid)
{
    return ask(fd, first, last, F_RDLCK, pid);
}

gboolean
dlk_image_locks_set(int fd, guint64 byte, short type)
{
    return dlk_image_locks_set_range(fd, byte, 1, type);
}

gboolean
dlk_image_locks_set_range(int fd, guint64 first, guint64 length, short type)
{
    struct flock lock = {
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)first, .l_len = (off_t)length};
    /* Only on CIFS anybody's bytes lie so far. To unlock goes from every process. */
    if (first >= DLK_BYTES_BEYOND && type != F_UNLCK)
        return set_by_helper(fd, &lock);
    return control(fd, F_OFD_SETLK, &lock);
}

gboolean
dlk_image_locks_clear(int fd)
{
    struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    return control(fd, F_OFD_SETLK, &lock);
}
