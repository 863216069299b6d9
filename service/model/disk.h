#pragma once

#include <glib.h>
#include <sys/stat.h>

typedef enum {
    DLK_KIND_FILE,
    DLK_KIND_BLOCK,
    DLK_KIND_NETWORK,
    DLK_N_KINDS
} DlkKind;

const char *dlk_kind_to_string(DlkKind kind);

/**
 * DlkDisk: what a disk is, whatever name it came by. Immutable once shared; reference-counted (atomic).
 *
 * Two disks overlap where one is the other, or one's id is among the other's ancestors: a partition has the
 * whole disk as its ancestor, so both overlap, and two partitions, with only an ancestor in common, do not.
 */
typedef struct {
    char *id; /* canonical: "file:8:1:4711" (device, inode), "block:8:0" */
    DlkKind kind;
    char *path;       /* where the walk through all links ended; %NULL where only a descriptor is known */
    char **names;     /* other names of a block device (/dev/disk/by-*), or %NULL */
    char *filesystem; /* type as in mountinfo: "ext4", "nfs4"; %NULL for block devices and network disks */
    GRefString *lock_limit; /* files: why locks on it are known to this host alone, as a clause, shared;
                               %NULL: every host that has it sees them */
    char *transport;        /* block devices: "scsi" "nvme" "virtio" "loop" "dm" "md", or %NULL */
    char *wwid;             /* block devices, where known, or %NULL */
    char *lane;             /* the pool's lane for work on this disk */
    dev_t device;           /* files: st_dev; block devices: st_rdev */
    ino_t inode;            /* files only */
    char **ancestors;       /* ids of the disks that contain this one, or %NULL */
} DlkDisk;

DlkDisk *dlk_disk_new(DlkKind kind, const char *id);
DlkDisk *dlk_disk_ref(DlkDisk *self);
void dlk_disk_unref(DlkDisk *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkDisk, dlk_disk_unref)

gboolean dlk_disk_overlaps(const DlkDisk *a, const DlkDisk *b);
/** For messages: the path, or the id where there is none. */
const char *dlk_disk_label(const DlkDisk *self);
