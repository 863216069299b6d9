#pragma once

#include "base/log.h"
#include "core/request.h"

/*
 * What happened, for the journal. An entry about a lease has the fields DISKLOCK_LEASE, _DISK, _PATH, _MODE,
 * _BACKEND, _OWNER, _UID, _PID, _TOKEN, and, where there is one, _REASON.
 */

/** @reason: may be %NULL. @format: the sentence that people read. */
void dlk_journal_lease(DlkEvent event, const DlkLease *lease, const char *reason, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/** What somebody did to another's lease; DISKLOCK_BY_UID and DISKLOCK_BY_PID say who. */
void dlk_journal_forced(DlkEvent event, const DlkLease *lease, const DlkCaller *by, const char *reason);

/** Nothing was granted. All disks of @request are named, in a DISKLOCK_PATH each. */
void dlk_journal_refused(const DlkRequest *request, const GError *error);

/* ---- fencing ---- */

/** @removed: how many holds. @error: why it could not be done, or %NULL. @disk: its id. */
void dlk_journal_fenced(const DlkFencing *fencing, const char *disk, guint removed, const GError *error);

/* ---- a start that finds leases of an earlier one ---- */

/** The lease is held as before. @how: "its descriptor was kept", "its lock was taken again". */
void dlk_journal_recovered(const DlkLease *lease, const char *how);
/** The lease ended while the service was away. @why: "its process has ended". */
void dlk_journal_dropped(const DlkLease *lease, const char *why);
/** The lock of the lease is gone; the lease is going to be broken. @why: "the disk is held by another host".
 */
void dlk_journal_not_recovered(const DlkLease *lease, const char *why);
