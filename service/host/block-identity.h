#pragma once

#include "backend/sysfs-block.h"

#include <glib.h>

/**
 * dlk_block_identity: the id of the block device behind @folder, a folder in sysfs; the same whatever name or number it
 * comes by, as far as the device has something that lasts:
 *
 *     lvm:LVUUID            a logical volume, as "lvs -o lv_uuid" writes it; its hidden layers have "-real", "-tdata" … after it
 *     wwid:naa.5000…        a SCSI disk, an NVMe namespace ("eui.", "uuid.", "nvme."), a multipath map and each of its paths
 *     md:0123…              a RAID array, by its UUID
 *     dm:UUID               any other mapped device that has a UUID
 *     loop:8:1:4711         a loop device, by the file (or loop:ID, the device) that it is set up on; with @OFFSET+SIZE
 *                           behind it where it shows but a part of that
 *     …/part3               a partition of one of these
 *     block:8:3             all others
 *
 * Opens loop devices, for reading. Worker thread; may block. Free with g_free().
 */
char *dlk_block_identity(const DlkDevices *devices, const char *folder);

/** The ids of all that the device behind @folder is a part of or made of, its own not among them; of char *. */
GPtrArray *dlk_block_identity_ancestors(const DlkDevices *devices, const char *folder);

/** The id of a file: "file:8:1:4711". Free with g_free(). */
char *dlk_file_identity(dev_t device, ino_t inode);
