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
/**
 * Unlocks and forgets the stored descriptors that nobody took: no lease explains them. @done is called, for
 * each of them or not at all, when it is unlocked or its time is up. Returns how many there are.
 */
guint dlk_orphans_drop(DlkEngine *engine, gint64 deadline, GSourceOnceFunc done, gpointer user_data);
