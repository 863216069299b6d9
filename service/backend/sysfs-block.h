#pragma once

#include <glib.h>
#include <sys/types.h>

/*
 * What sysfs says of block devices. Nothing here opens a device; nothing here blocks on storage.
 */

/** DlkDevices: where to look. */
typedef struct {
    const char *sysfs; /* "/sys" */
    const char *udev;  /* "/run/udev" */
    const char *dev;   /* "/dev" */
} DlkDevices;

/** Those of this host; tests have others. */
extern const DlkDevices dlk_devices;

/** A device's folder in sysfs, without links: "/sys/devices/…/block/sda/sda1"; %NULL: sysfs knows no such
 * device. */
char *dlk_sysfs_block_folder(const DlkDevices *devices, dev_t device);
/** The folder of a device by the kernel's name for it ("sda", not a partition), or %NULL. */
char *dlk_sysfs_block_by_name(const DlkDevices *devices, const char *name);
/** The one line in a small file of @folder ("dm/uuid"), printable; %NULL: no such file, or nothing in it. */
char *dlk_sysfs_block_read(const char *folder, const char *name);
/** The device's number. FALSE: the folder is gone. */
gboolean dlk_sysfs_block_device(const char *folder, dev_t *device);
/** Its node: "/dev/mapper/vg-root" for a mapped device, else "/dev/sda1". */
char *dlk_sysfs_block_node(const DlkDevices *devices, const char *folder);
/** The whole disk that it is a partition of, or %NULL. */
char *dlk_sysfs_block_whole(const char *folder);
/** The partitions of a whole disk; of char *, folders. */
GPtrArray *dlk_sysfs_block_partitions(const char *folder);
/** @link: "slaves", the devices that this one is made of, or "holders", made of it; of char *, folders. */
GPtrArray *dlk_sysfs_block_links(const char *folder, const char *link);
/** The multipath map that the device is a path of, or %NULL. */
char *dlk_sysfs_block_multipath(const char *folder);
/** What a SCSI disk or an NVMe namespace says of its identity ("naa.5000…"), or %NULL. */
char *dlk_sysfs_block_wwid(const char *folder);
/** All whole disks that say the same of their identity as this one, itself among them; of char *, folders. */
GPtrArray *dlk_sysfs_block_same_wwid(const DlkDevices *devices, const char *folder);

/**
 * Opens the node of the device behind @folder in @devices->dev, O_RDONLY and O_NONBLOCK, and makes sure that
 * it is that device's. Returns a descriptor, or -1. Worker thread; may block.
 */
int dlk_sysfs_block_open(const DlkDevices *devices, const char *folder);
