#pragma once

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
 * Can a lease in @mode be kept apart from those that it must not stand beside? DLK_ERROR_UNSUPPORTED: not
 * under readers=strict where hosts do not see each other's read locks. @label: the disk; @lockspace: whose
 * files are locked in its place, or %NULL.
 */
gboolean dlk_shared_locks_keep_apart(const char *filesystem, DlkMode mode, gboolean strict, const char *label,
                                     const char *lockspace, GError **error);
