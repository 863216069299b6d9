#pragma once

#include "model/disk.h"

#include <glib.h>

/**
 * dlk_block_device_describe: fills in what the kernel and udev say of the block device @disk->device: transport, wwid,
 * other names, and as ancestors the disks that it is a part of (a partition's whole disk, the devices below a mapped or
 * RAID one). Loop devices have no ancestors: to ask for their backing file the device would have to be opened.
 * @sysfs, @udev: where to look, "/sys" and "/run/udev"; other folders in tests. Reads these only, never the device.
 */
void dlk_block_device_describe(DlkDisk *disk, const char *sysfs, const char *udev);
