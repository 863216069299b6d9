#pragma once

#include "model/lease.h"

#include <glib.h>

/**
 * DlkTable: who has which disk and who waits for it. Pure bookkeeping: no I/O, no main loop, main thread
 * only.
 *
 * A lease keeps others out from its reservation (DLK_PHASE_LOCKING) until its lock is known to be gone.
 * Whoever waits is served first come, first served: a later request that an earlier waiter would conflict
 * with waits behind it.
 */
typedef struct _DlkTable DlkTable;

DlkTable *dlk_table_new(void);
/** Asserts that the table is empty. */
void dlk_table_free(DlkTable *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkTable, dlk_table_free)

/**
 * dlk_table_conflict: the first lease, or earlier waiter, that @lease cannot stand beside; %NULL: none;
 * borrowed.
 * @lease need not be in the table; leases of its own group are no obstacle.
 */
DlkLease *dlk_table_conflict(DlkTable *self, const DlkLease *lease);
/** Would @lease, which is in the table, conflict with another one in @mode? Waiters do not count. Borrowed.
 */
DlkLease *dlk_table_conflict_in_mode(DlkTable *self, const DlkLease *lease, DlkMode mode);

/** How many leases keep @lease out of @mode; waiters do not count. */
guint dlk_table_count_conflicts(DlkTable *self, const DlkLease *lease, DlkMode mode);

/** Puts @lease (DLK_PHASE_NEW) into the table in @phase (WAITING or LOCKING), takes a reference and a queue
 * place. */
void dlk_table_insert(DlkTable *self, DlkLease *lease, DlkPhase phase);
/** Moves @lease on; its own reference stays. WAITING → LOCKING → HELD → ENDING | BROKEN. */
void dlk_table_set_phase(DlkTable *self, DlkLease *lease, DlkPhase phase);
/** Takes @lease out (phase ENDED) and drops the table's reference. */
void dlk_table_remove(DlkTable *self, DlkLease *lease);

/** By id: leases on the bus only (HELD, BROKEN); borrowed. */
DlkLease *dlk_table_find(DlkTable *self, const DlkLeaseId *id);
/** The waiters that stand in @disk's way or in whose way it stood, first come first; of DlkLease, referenced.
 */
GPtrArray *dlk_table_waiters(DlkTable *self, const DlkDisk *disk);
/** The leases that overlap @disk and are on the bus or LOCKING or ENDING, @disk's own first; of DlkLease,
 * referenced. */
GPtrArray *dlk_table_overlapping(DlkTable *self, const DlkDisk *disk);

/** Leases on the bus in the order of their tokens: the first whose token is greater than @token; borrowed. */
DlkLease *dlk_table_next(DlkTable *self, guint64 token);
/** The broken lease that broke first, if more than @keep are broken; borrowed. */
DlkLease *dlk_table_oldest_broken(DlkTable *self, guint keep);

/** Leases on the bus. */
guint dlk_table_count(const DlkTable *self);
/** Everything in the table, of one uid: leases (not waiting, not broken), and waiters. */
guint dlk_table_leases_of(const DlkTable *self, uid_t uid);
guint dlk_table_waiters_of(const DlkTable *self, uid_t uid);
/** Every lease that is not waiting and not broken. */
guint dlk_table_live_count(const DlkTable *self);
