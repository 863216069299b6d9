#pragma once

#include "model/disk.h"
#include "model/mode.h"

#include <glib.h>

/* What locks on a filesystem of several hosts cannot do, by its type as mountinfo has it ("nfs": version 3).
 */

/** Why a lock there may be lost without anybody's noticing, as a clause; %NULL: it is seen. Free with
 * g_free(). */
char *dlk_shared_locks_unseen_loss(const char *filesystem);
/** By version 3 of NFS F_OFD_GETLK finds what another host has locked for writing, and not what it has locked
 * for reading (seen on Linux 6.1): FALSE there. @filesystem: or %NULL. */
gboolean dlk_shared_locks_show_readers(const char *filesystem);
/**
 * dlk_shared_locks_are_mandatory: is whoever reads or writes a byte that somebody else has locked refused? So
 * on CIFS, where it is also by asking the server for the lock, and giving it back at once, that F_OFD_GETLK
 * finds who has a byte: on the descriptor that has it itself that gives its own lock away. A change of a
 * lock's type is refused there.
 */
gboolean dlk_shared_locks_are_mandatory(const DlkDisk *disk);
/** Likewise, of a filesystem. @limit: why locks there are known to this host alone, or %NULL. */
gboolean dlk_shared_locks_are_mandatory_on(const char *filesystem, const char *limit);
/** From where on our bytes of @disk are counted: 0, or DLK_BYTES_BEYOND. */
guint64 dlk_shared_locks_base(const DlkDisk *disk);
/**
 * Can a lease in @mode be kept apart from those that it must not stand beside? DLK_ERROR_UNSUPPORTED: not
 * under readers=strict where hosts do not see each other's read locks. @label: the disk; @lockspace: whose
 * files are locked in its place, or %NULL.
 */
gboolean dlk_shared_locks_keep_apart(const char *filesystem, DlkMode mode, gboolean strict, const char *label,
                                     const char *lockspace, GError **error);
