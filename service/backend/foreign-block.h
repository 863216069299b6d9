#pragma once

#include "backend/backend.h"
#include "backend/sysfs-block.h"

/**
 * dlk_foreign_block_find: adds to @foreigners who uses the block device of @target, or a part of it, or what
 * it is a part of, other than by file locks: mounted filesystems, active swap, what the kernel has built upon
 * it (LVM, device-mapper, md), and whoever else has claimed it (O_EXCL). Worker thread; may block.
 *
 * Where nothing else is found the claim is tried for an instant (O_RDONLY | O_EXCL on a block device). It
 * leaves no trace and starts no rules of udev's, which only the close of a device that was open for writing
 * does; a program that claims the device in that instant is told that it is busy.
 *
 * A filesystem of another mount namespace is found by its claim, or by the kernel's folder for it in /sys/fs,
 * without its mount point. A program that has merely opened the device, and locks nothing, cannot be found
 * without looking at every process's descriptors, and is not.
 */
void dlk_foreign_block_find(GPtrArray *foreigners, const DlkTarget *target, const DlkDevices *devices);

/**
 * dlk_foreign_block_bases: the folders in sysfs of the devices whose every user is a user of @device's too:
 * itself (the multipath map where it is a path of one), its partitions, its whole disk. Of char *; empty
 * where sysfs does not know it.
 */
GPtrArray *dlk_foreign_block_bases(const DlkDevices *devices, dev_t device);

/** Adds what the kernel makes of the file of @target: active swap, loop devices. Worker thread; may block. */
void dlk_foreign_file_find(GPtrArray *foreigners, const DlkTarget *target, const DlkDevices *devices);
