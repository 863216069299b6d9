#pragma once

#include "core/internal.h"

/*
 * What is written down of a lease, so that it outlives the service, and in which order: docs/architecture.md.
 */

/**
 * dlk_record_grants: stores the descriptors of the @n leases, whose holdings stand, and writes the leases
 * down, all or none. FALSE with DLK_ERROR_BACKEND_FAILED: nothing is stored or written.
 */
gboolean dlk_record_grants(DlkEngine *engine, DlkLease *const *leases, guint n, GError **error);
/** Something about @lease is different from now on, or may be when its lock is. A failure is told and no
 * more. */
void dlk_record_change(DlkEngine *engine, DlkLease *lease);
/**
 * The lock of @lease is about to be converted to @mode: until the next dlk_record_change() it may have
 * either.
 * @spares: where a new descriptor of each part would be stored.
 */
void dlk_record_conversion(DlkEngine *engine, DlkLease *lease, DlkMode mode,
                           const guint spares[DLK_HOLD_PARTS]);
/** The lock of @lease is about to be given up, but not the lease. */
void dlk_record_suspension(DlkEngine *engine, DlkLease *lease);
/** Before the lock of @lease is given up: it has ended, and the store forgets it. */
void dlk_record_end(DlkEngine *engine, DlkLease *lease);

/** Stores what keeps the lock of @lease. */
void dlk_record_store(DlkEngine *engine, DlkLease *lease);
/** The store forgets what keeps the lock of @lease; its keep descriptor too with @all. */
void dlk_record_unstore(DlkEngine *engine, DlkLease *lease, gboolean all);
/** Writes the journal anew, with every lease. A failure is told and no more. */
void dlk_record_rewrite(DlkEngine *engine);
