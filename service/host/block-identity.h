#pragma once

#include "backend/sysfs-block.h"

#include <glib.h>

/**
 * dlk_block_identity: the id of the block device behind @folder, a folder in sysfs; the same whatever name or
 * number it comes by, as far as the device has something that lasts:
 *
 * - "lvm:UUID": a logical volume, by its UUID as "lvs -o lv_uuid" writes it; a hidden layer of one has
 *   "-real", "-tdata" and the like behind it;
 * - "wwid:naa.5000c500…": a SCSI disk, an NVMe namespace ("eui.", "uuid.", "nvme."), a multipath map and each
 *   of its paths;
 * - "md:0123…": a RAID array, by its UUID;
 * - "dm:UUID": any other mapped device that has a UUID;
 * - "loop:8:1:4711": a loop device, by the file that it is set up on, or "loop:" and the id of the device;
 *   where it shows but a part of that, with "@OFFSET+SIZE" behind it;
 * - one of these with "/part3" behind it: a partition;
 * - "block:8:3": all others.
 *
 * Opens loop devices, for reading. %NULL with DLK_ERROR_UNREACHABLE where the storage below one is known not
 * to answer. Worker thread; may block. Free with g_free().
 */
char *dlk_block_identity(const DlkDevices *devices, const char *folder, GError **error);

/**
 * dlk_block_identity_ancestors: the ids of all that the device behind @folder is a part of or made of, @id,
 * its own, not among them; of char *. Otherwise as dlk_block_identity().
 */
GPtrArray *dlk_block_identity_ancestors(const DlkDevices *devices, const char *folder, const char *id,
                                        GError **error);

/** The id of a file: "file:8:1:4711". Free with g_free(). */
char *dlk_file_identity(dev_t device, ino_t inode);
