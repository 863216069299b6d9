#pragma once

#include <glib.h>
#include <sys/types.h>

/** DlkProcessLock: one file lock that /proc/PID/fdinfo/N shows. */
typedef struct {
    pid_t pid;
    int fd;           /* the process's number for it */
    char command[16]; /* as the process named itself: any bytes */
    gboolean write;
    gboolean flock;      /* a BSD lock; else POSIX or OFD */
    guint64 first, last; /* bytes; last is G_MAXUINT64 for "to the end" */
} DlkProcessLock;

/**
 * dlk_process_locks_find: every lock on the inode that the kernel calls @inode_key that a process other than
 * this one holds. Reads /proc only, never the storage; what vanishes meanwhile is passed over. Worker thread.
 * Returns a GArray of DlkProcessLock. @inode_key: "fd:00:4711", as dlk_process_locks_key() gives it.
 */
GArray *dlk_process_locks_find(const char *inode_key);
/** Likewise the locks that this process holds by any descriptor but @except_fd. */
GArray *dlk_process_locks_find_own(const char *inode_key, int except_fd);
/**
 * dlk_process_locks_key: the kernel's name of the inode behind @fd in /proc/locks, or %NULL. On btrfs and
 * overlayfs that is not what fstat(2) says. Free with g_free().
 */
char *dlk_process_locks_key(int fd);

/** Does one of @locks cover @first to @last, in part at least? POSIX and OFD locks count, BSD ones do not. */
gboolean dlk_process_locks_touch(GArray *locks, guint64 first, guint64 last);
gboolean dlk_process_lock_touches(const DlkProcessLock *lock, guint64 first, guint64 last);
