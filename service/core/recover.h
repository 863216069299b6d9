#pragma once

#include "core/internal.h"

/** Asks again after @lease, whose storage had not answered when the service was started. */
void dlk_recover_again(DlkEngine *engine, DlkLease *lease);

/**
 * dlk_recorded_lease_take_up: puts the lease that @record describes into the table, with what is left of its
 * lock in the place of the lock, and watches what it ends with. @processes: those found already, of all
 * leases that are taken up: "PID START" → DlkPidRef, or %NULL of one that has ended. @fault: why the lease
 * has to be broken, static, or %NULL. %NULL: DLK_ERROR_BACKEND_FAILED, the machine has no room for it: not
 * the lease is at fault. Transfer full.
 */
DlkLease *dlk_recorded_lease_take_up(DlkEngine *engine, const DlkLeaseRecord *record, GHashTable *processes,
                                     const char **fault, GError **error);
/** DlkRecovery: one start, which is over when all of its jobs have come back. */
typedef struct _DlkRecovery DlkRecovery;
/** Runs a job that the start waits for, 20 seconds at most, and whose answer nobody needs. Takes @input. */
void dlk_recovery_run(DlkRecovery *self, const DlkJob *job, gpointer input, const char *lane);
/** Unlocks and forgets, by jobs of @recovery, the stored descriptors that nobody took: no lease explains
 * them. */
void dlk_orphans_drop(DlkEngine *engine, DlkRecovery *recovery);
/**
 * dlk_unregister_leftovers: when all leases that were written down stand in the table: takes back, by jobs of
 * @recovery, the registrations of this host, of SCSI or NVMe, that none of them explains.
 */
void dlk_unregister_leftovers(DlkEngine *engine, DlkRecovery *recovery);
