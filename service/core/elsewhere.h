#pragma once

#include "core/internal.h"

/*
 * Who has a disk on other hosts, as far as the records say that backends find beside their locks. What they
 * say is told to people, and decides nothing.
 */

/** Of @holders (of DlkHolder) the first that @mode cannot stand beside; those that are confirmed before the
 * others. @others (optional): how many more there are of the same kind. Borrowed, or %NULL. */
const DlkHolder *dlk_elsewhere_obstacle(GPtrArray *holders, DlkMode mode, gboolean strict, guint *others);

/**
 * dlk_elsewhere_without_ours: those of @holders (of DlkHolder) that are not told of by one of @leases, which
 * are all of this host that concern the disk. Transfer full.
 */
GPtrArray *dlk_elsewhere_without_ours(DlkEngine *engine, GPtrArray *holders, GPtrArray *leases);

/** Adds an a{sv} for each of @holders, as the contract lists it, to @report's "holders". */
void dlk_elsewhere_report(GVariantBuilder *report, GPtrArray *holders);

/** DlkRefused: a lease that could not be locked because somebody outside of the table has the disk. */
typedef struct {
    const DlkLease *lease;
    DlkMode mode; /* that it was to be locked in */
    DlkTarget *target;
    DlkBackend *backend, *fallback; /* that were to lock it: see dlk_lock_job_choose_backend() */
    const char *busy;               /* what the backend said */
} DlkRefused;

/**
 * dlk_elsewhere_describe_async: puts into words who on another host is in the way of @refused: asks the
 * backend in a worker, and polkit whether @caller may know.
 */
void dlk_elsewhere_describe_async(DlkEngine *engine, const DlkRefused *refused, DlkCaller *caller,
                                  GAsyncReadyCallback callback, gpointer user_data);
/** The sentence, transfer full; %NULL: nothing is known, or the caller may not know. */
char *dlk_elsewhere_describe_finish(GAsyncResult *result);
