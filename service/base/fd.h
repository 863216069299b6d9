#pragma once

#include <glib.h>

/** dlk_autofd: an int that closes itself at the end of its scope; start it at -1, give it away with
 * g_steal_fd(). */
#define dlk_autofd __attribute__((cleanup(dlk_close_fd))) int
void dlk_close_fd(int *fd);

/**
 * dlk_fd_reopen: a new open file description of the file behind @fd, by way of /proc/self/fd.
 * @flags: as open(2); O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added.
 *
 * A lock belongs to the open file description, so one that somebody else passed to us is never locked itself.
 * Blocks as long as the storage does. Returns the descriptor, or -1 with errno set.
 */
int dlk_fd_reopen(int fd, int flags);

/**
 * dlk_fd_info: the value of the line "KEY:\t…" in /proc/self/fdinfo/@fd ("mnt_id", "Pid", "lock"), or %NULL.
 * Asks the kernel only, never the storage. Free with g_free().
 */
char *dlk_fd_info(int fd, const char *key);

/** dlk_fd_path: where the kernel says @fd is (readlink of /proc/self/fd), or %NULL. Asks no storage. */
char *dlk_fd_path(int fd);
/** Sends a datagram of @text with a copy of @fd (-1: none); FALSE with errno set. */
gboolean dlk_fd_send(int socket_fd, const char *text, int fd);
