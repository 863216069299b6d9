#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * DlkChild: the process that becomes the command of `run`. It exists before the lease does, so that the lease
 * can be for it; it waits until it is given the descriptor that keeps the lease, and only then becomes the
 * command. Should disklockctl die before that, it ends; after that, it holds the lease by itself.
 */
typedef struct {
    pid_t pid;
    int pidfd;
    int socket; /* our end; -1 once the child was let go */
} DlkChild;

/** dlk_child_fork: makes the child, to become @argv. Call it while the process has one thread.
 * DLK_ERROR_BACKEND_FAILED. */
gboolean dlk_child_fork(DlkChild *child, char *const *argv, GError **error);
/** dlk_child_dismiss: ends a child that waits yet. */
void dlk_child_dismiss(DlkChild *child);
/**
 * dlk_child_start: lets the child become the command, with a copy of @keep and the lease in its environment
 * (DISKLOCK_LEASE, DISKLOCK_TOKEN). From here on signals to us go to it. DLK_ERROR_BACKEND_FAILED.
 */
gboolean dlk_child_start(DlkChild *child, int keep, const char *lease, guint64 token, GError **error);
/** dlk_child_wait: waits for its end and returns what a shell would: its exit code, or 128 + the signal's
 * number. */
int dlk_child_wait(DlkChild *child);
