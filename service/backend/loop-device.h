#pragma once

#include "backend/sysfs-block.h"

/** DlkLoopBacking: what a loop device reads and writes. */
typedef struct {
    dev_t device; /* st_dev of the file, or of the node */
    ino_t inode;
    dev_t node_of;        /* a block device: which one; 0: it is a file */
    guint64 offset, size; /* in bytes: which part of it; size 0: to its end */
    gboolean read_only;
} DlkLoopBacking;

typedef enum {
    DLK_LOOP_NONE, /* no loop device, or nothing behind it */
    DLK_LOOP_SET_UP,
    DLK_LOOP_UNREACHABLE, /* it cannot be asked: no answer from its storage for long, or no node in /dev */
} DlkLoopState;

/**
 * dlk_loop_device_ask: what stands behind the loop device behind @folder (not a partition of one).
 *
 * Asked of the driver itself: the name in sysfs (loop/backing_file) may be one of another mount namespace, or
 * lead to another file by now. Opening a loop device for reading has no effect on it beyond that of every
 * user: one that is to be detached is detached when its last user has closed it. Worker thread. The driver
 * asks the file's storage, which may hang: then one thread hangs with it, and all others are told
 * UNREACHABLE.
 */
DlkLoopState dlk_loop_device_ask(const DlkDevices *devices, const char *folder, DlkLoopBacking *backing);

/** Is the device behind @folder a loop device (not a partition of one) that has a file? */
gboolean dlk_loop_device_is_set_up(const char *folder);

/**
 * dlk_loop_devices_on_file: the folders in sysfs of the loop devices whose file has @device and @inode; of
 * char *. A device whose file seems to be on a network filesystem other than @device is not asked: its server
 * may not answer, and a file here must not wait for that. Worker thread.
 */
GPtrArray *dlk_loop_devices_on_file(const DlkDevices *devices, dev_t device, ino_t inode);
