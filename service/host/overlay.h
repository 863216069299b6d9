#pragma once

#include "host/mounts.h"

/*
 * A file of an overlay that has been written to is kept in the overlay's upper folder. There it has another
 * inode, other locks and another name: two files for every system call, and one disk.
 *
 * Neither side says so by itself. It is found by names: the upper folder as the mount's options have it, and
 * the same name below it. What cannot be found so: an upper folder that was given to mount(8) relative to its
 * working folder or through links, one that is looked at through a bind mount, an upper file's second hard
 * link outside, and overlays that are mounted in other mount namespaces only (containers).
 *
 * The file in a lower folder is another disk: the overlay never writes it.
 */

/**
 * dlk_overlay_merged_ids: the ids of what the file at @path, on no overlay itself, is seen as in the overlays
 * whose upper folder it is in; of char *. Worker thread; may block.
 */
GPtrArray *dlk_overlay_merged_ids(const DlkMounts *mounts, const char *path);
/** May dlk_overlay_merged_ids() find any? Touches nothing. */
gboolean dlk_overlay_may_show(const DlkMounts *mounts, const char *path);
/** Likewise the path at which it is seen on @mount, or %NULL. Touches nothing. */
char *dlk_overlay_merged_path(const DlkMount *mount, const char *path);
/** Where the upper file of @path on the overlay @mount is, or would be once it is written to; %NULL: unknown.
 * Touches nothing. */
char *dlk_overlay_upper_path(const DlkMount *mount, const char *path);
