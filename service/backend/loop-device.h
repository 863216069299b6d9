#pragma once

#include "backend/sysfs-block.h"

/** DlkLoopBacking: what a loop device reads and writes. */
typedef struct {
    dev_t device; /* st_dev of the file, or of the node */
    ino_t inode;
    dev_t node_of; /* a block device: which one; 0: it is a file */
    guint64 offset, size; /* in bytes: which part of it; size 0: to its end */
    gboolean read_only;
} DlkLoopBacking;

/**
 * dlk_loop_device_ask: what stands behind the loop device, or the partition of one, that @fd has open. FALSE:
 * nothing, or it is no loop device.
 *
 * Asked of the driver itself: the name in sysfs (loop/backing_file) may be one of another mount namespace, or
 * lead to another file by now. Opening a loop device for reading has no effect on it beyond that of every
 * user: one that is to be detached is detached when its last user has closed it. Worker thread; blocks with
 * the storage of the file.
 */
gboolean dlk_loop_device_ask(int fd, DlkLoopBacking *backing);

/** Is the device behind @folder a loop device (not a partition of one) that has a file? */
gboolean dlk_loop_device_is_set_up(const char *folder);

/**
 * dlk_loop_devices_on_file: the folders in sysfs of the loop devices whose file has @device and @inode; of
 * char *. A device whose file seems to be on a network filesystem other than @device is not asked: its server
 * may not answer, and a file here must not wait for that. Worker thread.
 */
GPtrArray *dlk_loop_devices_on_file(const DlkDevices *devices, dev_t device, ino_t inode);
