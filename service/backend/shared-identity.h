#pragma once

#include "backend/hold.h"

/**
 * dlk_shared_identity: what the disk of @target is called on every host that reaches it: the id of a disk
 * that has one of its own (WWID, LV UUID, RAID UUID, the name of a network disk, and partitions of these),
 * or, for a file, its inode, which every host sees the same that shares the filesystem of @folder, the
 * lockspace's.
 *
 * What has no such name (a device known by its number, a loop device, a mapped device, whose name each host
 * chooses, a file on another filesystem) is DLK_ERROR_UNSUPPORTED. @folder: -1 where it is not known yet; a
 * file is then an error. Free with g_free().
 */
char *dlk_shared_identity(const DlkTarget *target, int folder, GError **error);
