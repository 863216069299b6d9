#pragma once

#include "backend/sysfs-block.h"
#include "model/disk.h"

/**
 * dlk_block_device_new: the disk that is the block device with this number: its id, and as ancestors the
 * disks that it is a part of or made of (a partition's whole disk, the devices below a mapped or RAID one,
 * the file of a loop device), its transport, wwid and other names, and a lane of its own. Opens no device but
 * loop devices, and these for reading. Worker thread; may block, and %NULL with DLK_ERROR_UNREACHABLE, where
 * a loop device's file is on storage that does.
 */
DlkDisk *dlk_block_device_new(dev_t device, const DlkDevices *devices, GError **error);
