#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * DlkPidRef: one process, never its successor under the same number.
 *
 * A pid travels only together with its pidfd; a signal goes through the pidfd. Reference-counted (atomic),
 * shared by all leases of one process.
 */
typedef struct _DlkPidRef DlkPidRef;

/** DLK_ERROR_INVALID_ARGS where no such process lives, DLK_ERROR_BACKEND_FAILED where it cannot be looked at.
 */
DlkPidRef *dlk_pid_ref_new(pid_t pid, GError **error);
/** Is @fd a pidfd? Asks nobody but the kernel, whatever it is. DLK_ERROR_INVALID_ARGS. */
gboolean dlk_pid_ref_check_pidfd(int fd, GError **error);
/** The process of @pidfd, which is closed in any case. DLK_ERROR_INVALID_ARGS where it is no pidfd or its
 * process has ended. */
DlkPidRef *dlk_pid_ref_new_for_pidfd(int pidfd, GError **error);
/**
 * The process @pid that began at @start, as dlk_pid_ref_start() said in this boot; %NULL without @error: it
 * has ended, whoever has the number now. DLK_ERROR_BACKEND_FAILED: that cannot be seen (no descriptor is
 * left, say).
 */
DlkPidRef *dlk_pid_ref_new_again(pid_t pid, guint64 start, GError **error);
DlkPidRef *dlk_pid_ref_ref(DlkPidRef *self);
void dlk_pid_ref_unref(DlkPidRef *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPidRef, dlk_pid_ref_unref)

pid_t dlk_pid_ref_pid(const DlkPidRef *self);
/** Of one and the same process, for GHashTable. */
guint dlk_pid_ref_hash(gconstpointer self);
gboolean dlk_pid_ref_equal(gconstpointer one, gconstpointer other);
/** The pidfd, borrowed; readable once the process has ended. */
int dlk_pid_ref_fd(const DlkPidRef *self);
/** The real uid that the process had when it was first looked at. */
uid_t dlk_pid_ref_uid(const DlkPidRef *self);
/** When the process began, in clock ticks since the boot: no two of one number began at the same time. Never
 * 0. */
guint64 dlk_pid_ref_start(const DlkPidRef *self);
/**
 * The command name (comm), made printable; "" where it could not be read. What it is now, since execve(2) may
 * have changed it; of a process that has ended, what it was at first. Free with g_free().
 */
char *dlk_pid_ref_command(const DlkPidRef *self);
gboolean dlk_pid_ref_is_alive(const DlkPidRef *self);
/** pidfd_send_signal(2); FALSE with errno set. */
gboolean dlk_pid_ref_signal(const DlkPidRef *self, int signal_number);
