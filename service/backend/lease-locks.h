#pragma once

#include "backend/backend.h"

/*
 * The locks that a lease is made of, on an open file description of the disk itself or of a file that stands
 * for it: an exclusive lease write-locks byte 0, the others read-lock it. Where the rule says readers=strict,
 * a shared lease also read-locks byte 2 and a read-only one byte 3, and then asks that nobody has the other's
 * byte. Taken first, asked after: of two that come at once both may be refused, but never are both let in.
 *
 * @fd: open for writing where the mode writes. @label: the disk, for messages.
 */

/** Takes them; on failure closing @fd gives back what was got. */
gboolean dlk_lease_locks_take(int fd, const char *label, DlkMode mode, gboolean strict, GError **error);
/** @fd has locks of a lease, of this mode or of one that it was to be converted from or to: makes them this
 * mode's. DLK_ERROR_LEASE_LOST: it has none. */
gboolean dlk_lease_locks_adopt(int fd, const char *open_as, const char *label, DlkMode mode, gboolean strict,
                               GError **error);
/** Takes those of a new mode in the place of the old one's, with no moment without; on failure the old stand.
 */
gboolean dlk_lease_locks_change(int fd, const char *label, DlkMode from, DlkMode to, gboolean strict,
                                GError **error);
/**
 * Are they still ours? Asked, never locked again: that would hide the loss. An error is no loss: it may be
 * the lock manager that is away (ENOLCK) or the server (EIO, ESTALE), and the lock may still stand when they
 * are back. @reason (out): for LOST and UNKNOWN.
 */
DlkCheck dlk_lease_locks_check(int fd, DlkMode mode, char **reason);
/**
 * Likewise, on a filesystem of several hosts, whose server may take a lock away and tell nobody: the storage
 * itself is asked for one block. A Linux client of NFS that has a delegation does not even ask the server who
 * has the lock. @open_as: as DlkTarget's.
 */
DlkCheck dlk_lease_locks_check_shared(int fd, const char *open_as, DlkMode mode, char **reason);

/* ---- where locks are mandatory: one byte, behind the end of the disk, and no readers=strict ---- */

gboolean dlk_lease_locks_take_mandatory(int fd, const char *label, DlkMode mode, GError **error);
/**
 * Has somebody else write-locked the byte, or the server ended our session? A client that has opened the file
 * again since, for whatever reason, does not tell of the latter. @open_as: as DlkTarget's.
 */
DlkCheck dlk_lease_locks_check_mandatory(int fd, const char *open_as, char **reason);
