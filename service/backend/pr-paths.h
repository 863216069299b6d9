#pragma once

#include "backend/pr-path.h"

/**
 * dlk_pr_paths_open: every path by which the host may write to the disk of @target, of DlkPrPath, at least
 * one: those of a multipath map, also where @target is one of them; else the device itself. Paths that do not
 * answer may be missing.
 * DLK_ERROR_UNSUPPORTED: the disk is none that is reserved as a whole (a partition, a volume, a file).
 */
GPtrArray *dlk_pr_paths_open(const DlkTarget *target, GError **error);

/** Asks one path after the other until one answers. */
DlkPrState *dlk_pr_paths_read(GPtrArray *paths, GError **error);
gboolean dlk_pr_paths_read_types(GPtrArray *paths, guint *types, GError **error);
GPtrArray *dlk_pr_paths_read_registrants(GPtrArray *paths, GError **error);

/**
 * These succeed by the first path that is registered with @key and answers; on failure DLK_ERROR_BUSY counts
 * more than that another path did not answer.
 */
gboolean dlk_pr_paths_reserve(GPtrArray *paths, guint64 key, DlkPrType type, GError **error);
gboolean dlk_pr_paths_preempt(GPtrArray *paths, guint64 key, guint64 victim, DlkPrType type, GError **error);
gboolean dlk_pr_paths_preempt_and_abort(GPtrArray *paths, guint64 key, guint64 victim, DlkPrType type,
                                        GError **error);
/** By every path: the reservation is that one's which reserved. Whether it is gone is to be read. */
void dlk_pr_paths_release(GPtrArray *paths, guint64 key, DlkPrType type);
