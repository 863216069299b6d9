#pragma once

#include <glib.h>
#include <sys/types.h>

/** DlkMount: one line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
typedef struct {
    guint64 id;
    dev_t device;     /* st_dev of its files, but for btrfs and the like */
    char *point;      /* where it is mounted, unescaped */
    char *root;       /* which part of the filesystem */
    char *filesystem; /* type, "ext4"; of "fuse.sshfs" the whole */
    char *options;    /* per mount and per superblock, joined by "," */
    char *source;
    char *lane; /* "8:1": the pool's lane of everything on it */
} DlkMount;

/** DlkMounts: the mount table as it stood at one moment; immutable, reference-counted (atomic). */
typedef struct _DlkMounts DlkMounts;

/** Parses the text of a mountinfo file; lines that are none are passed over. */
DlkMounts *dlk_mounts_parse(const char *text);
DlkMounts *dlk_mounts_ref(DlkMounts *self);
void dlk_mounts_unref(DlkMounts *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkMounts, dlk_mounts_unref)

/** The mount that @path, absolute and without links, is on: the longest prefix, the last mounted. %NULL only
 * for an empty table. */
const DlkMount *dlk_mounts_of_path(const DlkMounts *self, const char *path);
/** The topmost mount whose point is exactly @path, or %NULL. */
const DlkMount *dlk_mounts_at(const DlkMounts *self, const char *path);
const DlkMount *dlk_mounts_by_id(const DlkMounts *self, guint64 id);
/** The mounts that are overlays; of DlkMount, borrowed with the array. */
GPtrArray *dlk_mounts_overlays(const DlkMounts *self);

/**
 * DlkMountTable: the current DlkMounts, read again when the kernel says that it changed (poll on the file,
 * POLLPRI). Main thread.
 */
typedef struct _DlkMountTable DlkMountTable;
DlkMountTable *dlk_mount_table_new(GMainContext *context, GError **error);
void dlk_mount_table_free(DlkMountTable *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkMountTable, dlk_mount_table_free)
/** The mounts as they stand now, borrowed: reads them again first if they changed. */
DlkMounts *dlk_mount_table_get(DlkMountTable *self);
