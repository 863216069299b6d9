#pragma once

#include <glib.h>
#include <sys/types.h>

/** DlkProcessLock: one file lock that /proc/PID/fdinfo/N shows. */
typedef struct {
    pid_t pid;
    char command[16];
    gboolean write;
    gboolean flock; /* a BSD lock; else POSIX or OFD */
    guint64 first, last; /* bytes; last is G_MAXUINT64 for "to the end" */
} DlkProcessLock;

/**
 * dlk_process_locks_find: every lock on the inode that the kernel calls @device:@inode (as in /proc/locks) that a process other
 * than this one holds. Reads /proc only, never the storage; what vanishes meanwhile is passed over. Worker thread.
 * Returns a GArray of DlkProcessLock. @inode_key: "fd:00:4711", as dlk_process_locks_key() gives it.
 */
GArray *dlk_process_locks_find(const char *inode_key);
/** The kernel's name of the inode behind @fd in /proc/locks, or %NULL. btrfs and overlayfs: not st_dev, hence this. Free with g_free(). */
char *dlk_process_locks_key(int fd);
