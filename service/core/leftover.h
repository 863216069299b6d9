#pragma once

#include "core/internal.h"

/**
 * DlkLeftover: what an earlier run of the service left of the lock of one lease, and how it is found again.
 * Immutable once made, but for what a worker finds; reference-counted (atomic).
 */
typedef struct {
    DlkBackend *backend; /* %NULL: this version has it not; then its lock can only be given up */
    DlkDisk *disk;       /* as it was */
    char *path;          /* where the disk really was, or its URI; %NULL: only its descriptor is known */
    char *lane;          /* of the filesystem that @path is on now */
    DlkMounts *mounts;
    DlkMode mode, other_mode; /* the lock may have either */
    gboolean strict;
    gboolean suspended; /* there is no lock to be taken up */
    pid_t pid;
    DlkRule *rule;
    DlkHolder *holder;
    int fds[DLK_HOLD_PARTS];     /* of the store, or -1 */
    int old_fds[DLK_HOLD_PARTS]; /* whose place they had taken, or -1 */
    gint64 late_close_until;     /* monotonic, us: until then whoever has the lock may be about to close it */
    GMutex mutex;   /* guards what follows; held while a worker looks, which may be for as long as the storage
                       hangs */
    DlkHold *found; /* whoever waited for it may have given up: the next one has it */
    gboolean over;  /* it was given up: nobody may lock it again */
} DlkLeftover;

/** Without descriptors, for the caller to fill in. Takes references. */
DlkLeftover *dlk_leftover_new(DlkBackend *backend, DlkDisk *disk, DlkRule *rule);
DlkLeftover *dlk_leftover_ref(DlkLeftover *self);
/** May close descriptors, which may block: the last reference is dropped in a worker. */
void dlk_leftover_unref(DlkLeftover *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkLeftover, dlk_leftover_unref)

/**
 * dlk_leftover_hold: what stands in the place of the lease's hold until the storage has answered (reference
 * taken): asked after it says that nobody knows, and to be released it is taken up first.
 */
DlkHold *dlk_leftover_hold(DlkLeftover *self);

/** DlkRevived: what a worker found out about a leftover. */
typedef struct {
    DlkCheck answer;
    const char *reason; /* for LOST and UNKNOWN: DLK_REASON_…, or of @text */
    char *text;         /* what is wrong in full, or %NULL */
    DlkHold *hold;      /* HELD: it is */
    gboolean kept;      /* by a descriptor of the store, all the time */
    int folder_watch;
} DlkRevived;

/** Worker; may block. @folder_watch: %NULL: nothing is watched. */
void dlk_leftover_revive(DlkLeftover *self, DlkFolderWatchJob *folder_watch, DlkRevived *revived);
/** Drops what is in it; unlocks nothing that has another copy. */
void dlk_revived_clear(DlkRevived *revived);
