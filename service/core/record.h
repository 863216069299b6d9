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
/** Something about @lease is different from now on. DLK_ERROR_BACKEND_FAILED: that could not be written. */
gboolean dlk_record_try_change(DlkEngine *engine, DlkLease *lease, GError **error);
/** The same where it cannot be undone: a failure is told, and is tried again until it can be written. */
gboolean dlk_record_change(DlkEngine *engine, DlkLease *lease);
/**
 * The lock of @lease is about to be converted to @mode: until dlk_record_change_is_over() it may have either,
 * whatever else is written down of the lease.
 * @spares: where a new descriptor of each part would be stored.
 */
gboolean dlk_record_conversion(DlkEngine *engine, DlkLease *lease, DlkMode mode,
                               const guint spares[DLK_HOLD_PARTS], GError **error);
/** The lock of @lease is about to be given up for a while: until dlk_record_change_is_over() it is suspended
 * in whatever is written down, though not yet on the bus. */
gboolean dlk_record_suspension(DlkEngine *engine, DlkLease *lease, GError **error);
/** @lease is its own state and mode again in what is written down from now on; nothing is written yet. */
void dlk_record_change_is_over(DlkLease *lease);
/** @lease, whose lock was taken again, is about to be active. */
gboolean dlk_record_resumption(DlkEngine *engine, DlkLease *lease, GError **error);

/** DlkHandOver: whom leases are about to be for. */
typedef struct {
    DlkPidRef *process; /* or %NULL */
    DlkLifetime lifetime;
    const char *bus_name;       /* lifetime connection: whose; else %NULL */
    const DlkOnBreak *on_break; /* %NULL: each lease's own */
    const char *why;            /* likewise */
} DlkHandOver;
/** Writes down that the @n leases are for somebody else, all or none. */
gboolean dlk_record_hand_over(DlkEngine *engine, DlkLease *const *leases, guint n, const DlkHandOver *to,
                              GError **error);
/** Before the lock of @lease is given up: it has ended, and the store forgets it. */
void dlk_record_end(DlkEngine *engine, DlkLease *lease);

/** Stores what keeps the lock of @lease. */
void dlk_record_store(DlkEngine *engine, DlkLease *lease);
/** DlkStored: the names in the store of what keeps one lease; 0: nothing. */
typedef struct {
    guint parts[DLK_HOLD_PARTS];
    guint keep; /* descriptor's other end */
} DlkStored;
/** @lease is without them from now on; with its keep descriptor's where @all. See dlk_record_unstore(). */
DlkStored dlk_record_take_stored(DlkLease *lease, gboolean all);
/**
 * dlk_record_unstore: the store forgets @stored, whose names are free then: at once where it is @written down
 * that the lease is without them, else when the journal was written anew. A name that the last record still
 * gives must not be another lease's.
 */
void dlk_record_unstore(DlkEngine *engine, const DlkStored *stored, gboolean written);
/**
 * dlk_record_begin: after a start: writes the journal anew, with every lease. A failure is told, and it is
 * tried again; until then the earlier run's file goes on.
 */
void dlk_record_begin(DlkEngine *engine);
