#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/epoll.h>

typedef enum {
    NEVER,
    ALWAYS,
    IF_NOT_AWAKENING, /* an eventfd is the process's own */
    IF_IT_CREATES,
    IF_IT_LOCKS,
} Mark;

typedef struct {
    long number;
    const char *name;
    Mark mark;
    int errors[4];
} Row;

/* The errors: those of its man page, as far as they are among those that are tried. Memory is in a table of
 * its own. */
static const Row rows[] = {
    {SYS_openat, "openat", IF_IT_CREATES, {EMFILE, ENOMEM, EIO, EINTR}},
    {SYS_openat2, "openat2", NEVER, {EMFILE, ENOMEM, EIO, EINTR}},
    {SYS_close, "close", ALWAYS, {EIO, EINTR}},
    {SYS_read, "read", NEVER, {EIO, EINTR}},
    {SYS_pread64, "pread64", NEVER, {EIO, EINTR}},
    {SYS_write, "write", IF_NOT_AWAKENING, {ENOSPC, EIO, EINTR}},
    {SYS_pwrite64, "pwrite64", ALWAYS, {ENOSPC, EIO, EINTR}},
    {SYS_fcntl, "fcntl", IF_IT_LOCKS, {0}},
    {SYS_flock, "flock", ALWAYS, {ENOMEM, EINTR}},
    {SYS_ioctl, "ioctl", ALWAYS, {EIO, ENOMEM}},
    {SYS_fstat, "fstat", NEVER, {EIO, ENOMEM}},
    {SYS_newfstatat, "newfstatat", NEVER, {EIO, ENOMEM}},
    {SYS_statx, "statx", NEVER, {EIO, ENOMEM}},
    {SYS_statfs, "statfs", NEVER, {EIO, ENOMEM}},
    {SYS_fstatfs, "fstatfs", NEVER, {EIO, ENOMEM}},
    {SYS_faccessat, "faccessat", NEVER, {EIO, ENOMEM}},
    {SYS_faccessat2, "faccessat2", NEVER, {EIO, ENOMEM}},
    {SYS_readlinkat, "readlinkat", NEVER, {EIO, ENOMEM}},
    {SYS_getdents64, "getdents64", NEVER, {EIO, ENOMEM}},
    {SYS_fsync, "fsync", ALWAYS, {EIO, ENOSPC, EINTR}},
    {SYS_ftruncate, "ftruncate", ALWAYS, {EIO, EINTR}},
    {SYS_renameat, "renameat", ALWAYS, {ENOSPC, EIO, ENOMEM}},
    {SYS_unlinkat, "unlinkat", ALWAYS, {EIO, ENOMEM}},
    {SYS_mkdirat, "mkdirat", ALWAYS, {ENOSPC, EIO, ENOMEM}},
#if defined(__x86_64__)
    {SYS_open, "open", NEVER, {EMFILE, ENOMEM, EIO, EINTR}},
    {SYS_stat, "stat", NEVER, {EIO, ENOMEM}},
    {SYS_lstat, "lstat", NEVER, {EIO, ENOMEM}},
    {SYS_access, "access", NEVER, {EIO, ENOMEM}},
    {SYS_readlink, "readlink", NEVER, {EIO, ENOMEM}},
    {SYS_rename, "rename", ALWAYS, {ENOSPC, EIO, ENOMEM}},
    {SYS_unlink, "unlink", ALWAYS, {EIO, ENOMEM}},
    {SYS_mkdir, "mkdir", ALWAYS, {ENOSPC, EIO, ENOMEM}},
    {SYS_dup2, "dup2", ALWAYS, {EINTR}},
    {SYS_poll, "poll", NEVER, {EINTR}},
    {SYS_epoll_wait, "epoll_wait", NEVER, {EINTR}},
    {SYS_fork, "fork", ALWAYS, {ENOMEM}},
    {SYS_vfork, "vfork", ALWAYS, {ENOMEM}},
#endif
    {SYS_dup, "dup", NEVER, {EMFILE}},
    {SYS_dup3, "dup3", ALWAYS, {EINTR}},
    {SYS_pipe2, "pipe2", NEVER, {EMFILE, ENOMEM}},
    {SYS_ppoll, "ppoll", NEVER, {EINTR}},
    {SYS_epoll_pwait, "epoll_pwait", NEVER, {EINTR}},
    {SYS_epoll_create1, "epoll_create1", NEVER, {EMFILE, ENOMEM}},
    {SYS_epoll_ctl, "epoll_ctl", NEVER, {0}},
    {SYS_eventfd2, "eventfd2", NEVER, {EMFILE, ENOMEM}},
    {SYS_signalfd4, "signalfd4", NEVER, {EMFILE, ENOMEM}},
    {SYS_inotify_init1, "inotify_init1", NEVER, {EMFILE, ENOMEM}},
    {SYS_inotify_add_watch, "inotify_add_watch", NEVER, {ENOMEM, ENOSPC}},
    {SYS_socket, "socket", NEVER, {EMFILE, ENOMEM}},
    {SYS_connect, "connect", ALWAYS, {ENOMEM, EINTR}},
    {SYS_getsockopt, "getsockopt", NEVER, {ENOMEM}},
    {SYS_setsockopt, "setsockopt", NEVER, {ENOMEM}},
    {SYS_sendmsg, "sendmsg", ALWAYS, {ENOMEM, EINTR}},
    {SYS_sendto, "sendto", ALWAYS, {ENOMEM, EINTR}},
    {SYS_recvmsg, "recvmsg", ALWAYS, {ENOMEM, EINTR}},
    {SYS_recvfrom, "recvfrom", ALWAYS, {ENOMEM, EINTR}},
    {SYS_pidfd_open, "pidfd_open", NEVER, {EMFILE, ENOMEM}},
    {SYS_pidfd_send_signal, "pidfd_send_signal", ALWAYS, {0}},
    {SYS_kill, "kill", ALWAYS, {0}},
    {SYS_clone, "clone", ALWAYS, {ENOMEM}},
    {SYS_clone3, "clone3", ALWAYS, {ENOMEM}},
    {SYS_wait4, "wait4", ALWAYS, {EINTR}},
    {SYS_waitid, "waitid", ALWAYS, {EINTR}},
    {SYS_futex, "futex", NEVER, {0}},
    {SYS_mmap, "mmap", NEVER, {ENOMEM}},
    {SYS_mprotect, "mprotect", NEVER, {ENOMEM}},
    {SYS_brk, "brk", NEVER, {ENOMEM}},
    {SYS_exit_group, "exit_group", ALWAYS, {0}},
};

static const Row *
row_of(const DlkCall *call)
{
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].number == call->number)
            return &rows[i];
    return NULL;
}

const char *
dlk_call_name(const DlkCall *call)
{
    static char number[32];
    const Row *row = row_of(call);

    g_snprintf(number, sizeof number, "call %ld", call->number);
    return row ? row->name : number;
}

static gboolean
is_own(const DlkCall *call)
{
    return strstr(call->file, "[eventfd]") != NULL;
}

static gboolean
locks(const DlkCall *call)
{
    return call->arguments[1] == F_OFD_SETLK || call->arguments[1] == F_OFD_GETLK ||
           call->arguments[1] == F_SETLK || call->arguments[1] == F_GETLK;
}

gboolean
dlk_call_leaves_mark(const DlkCall *call)
{
    const Row *row = row_of(call);

    switch (row ? row->mark : NEVER) {
    case NEVER:
        return FALSE;
    case ALWAYS:
        return TRUE;
    case IF_NOT_AWAKENING:
        return !is_own(call);
    case IF_IT_CREATES:
        return (call->arguments[2] & (O_CREAT | O_TRUNC)) != 0;
    case IF_IT_LOCKS:
        return call->arguments[1] == F_OFD_SETLK || call->arguments[1] == F_SETLK;
    }
    return FALSE;
}

static DlkErrors
make_errors(const int errors[4])
{
    DlkErrors made = {0};

    for (; made.n < G_N_ELEMENTS(made.errors) && errors[made.n] != 0; made.n++)
        made.errors[made.n] = errors[made.n];
    return made;
}

gboolean
dlk_call_waits(const DlkCall *call)
{
    const Row *row = row_of(call);

    return row && (g_str_equal(row->name, "poll") || g_str_equal(row->name, "ppoll") ||
                   row->number == SYS_futex || is_own(call));
}

DlkErrors
dlk_call_errors(const DlkCall *call)
{
    const guint64 operation = call->arguments[1];
    const Row *row = row_of(call);

    if (!row)
        return (DlkErrors){0};
    if (row->number == SYS_fcntl && locks(call))
        return make_errors((const int[4]){EIO, ENOMEM, EINTR});
    if (row->number == SYS_fcntl && (operation == F_DUPFD || operation == F_DUPFD_CLOEXEC))
        return make_errors((const int[4]){EMFILE});
    if (row->number == SYS_epoll_ctl && operation == EPOLL_CTL_ADD)
        return make_errors((const int[4]){ENOMEM, ENOSPC});
    if (row->number == SYS_futex)
        return make_errors((const int[4]){(operation & FUTEX_CMD_MASK) == FUTEX_WAIT ||
                                                  (operation & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET
                                              ? EINTR
                                              : 0});
    if ((row->number == SYS_read || row->number == SYS_write) && call->file[0] != '/')
        return make_errors((const int[4]){EINTR});
    return make_errors(row->errors);
}

gboolean
dlk_call_is_done_anyway(const DlkCall *call)
{
    return call->number == SYS_close;
}
