#pragma once

#include "core/internal.h"

/** Asks again after @lease, whose storage had not answered when the service was started. */
void dlk_recover_again(DlkEngine *engine, DlkLease *lease);

/**
 * dlk_recorded_lease_new: the lease that @record describes, not in the table. @processes: those found
 * already, of all leases that are taken up: "PID START" → DlkPidRef, or %NULL of one that has ended.
 */
DlkLease *dlk_recorded_lease_new(DlkEngine *engine, const DlkLeaseRecord *record, GHashTable *processes);
/** Unlocks and forgets the stored descriptors that nobody took: no lease explains them. */
void dlk_orphans_drop(DlkEngine *engine);
