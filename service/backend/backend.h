#pragma once

#include "backend/hold.h"

#include <glib-object.h>

/*
 * What really locks. Every function here may block and is called in a worker, one at a time per disk; none
 * sees the table.
 */

typedef enum {
    DLK_CHECK_HELD,
    DLK_CHECK_LOST,
    DLK_CHECK_UNKNOWN, /* the storage gave no answer: at risk */
} DlkCheck;

/*
 * Why a lease is broken or at risk. These words go into signals that everybody on the bus can read: they name
 * no path, no owner and no process.
 */
#define DLK_REASON_DELETED "deleted"
#define DLK_REASON_REPLACED "replaced"
#define DLK_REASON_LOCK_TAKEN "lock taken by another holder"
#define DLK_REASON_LOCK_FILE_GONE "lock file deleted or replaced"
#define DLK_REASON_NO_LOCKSPACE "lockspace not reachable"
#define DLK_REASON_LOCK_REVOKED "lock taken away by the server"
#define DLK_REASON_NOT_LOCKED "not locked"
#define DLK_REASON_NOT_TAKEN_AGAIN "not locked again after a restart"
#define DLK_REASON_STORAGE_ERROR "storage error: " /* strerror(3) follows */

/** DlkForeign: somebody who uses the disk without a lease of ours. */
typedef struct {
    pid_t pid;        /* 0: not known (another host, another pid namespace) */
    char *command;    /* printable; "" where not known */
    const char *what; /* "qemu", "virtlockd", "flock", "lock"; of the kernel's own: "mount", "swap", "lvm",
                         "multipath", "dm", "md", "loop", "holder" (another driver), "claim" (nobody knows
                         whose); static */
    char *where; /* of the kernel's own: mount point, swap file, device built upon this one; %NULL where not
                    known */
    gboolean writes; /* it may write */
    gboolean alone;  /* it tolerates no other writer */
} DlkForeign;
void dlk_foreign_free(DlkForeign *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkForeign, dlk_foreign_free)

#define DLK_TYPE_BACKEND dlk_backend_get_type()
G_DECLARE_DERIVABLE_TYPE(DlkBackend, dlk_backend, DLK, BACKEND, GObject)

struct _DlkBackendClass {
    GObjectClass parent_class;

    /** One of the policy's words: "host", "fcntl". */
    const char *name;
    /** In its place, where each object of the class has a name of its own, as long as it lives. */
    const char *(*get_name)(DlkBackend *self);
    /** Can such a lock be in @mode at all? Missing: in every mode. */
    gboolean (*serves)(DlkBackend *self, DlkMode mode, gboolean strict);
    /** Does a lease of this backend keep other hosts out as well? */
    gboolean reaches_other_hosts;
    /** Where it does: why not for this disk, as a clause, transfer full; %NULL: it does. May be missing. */
    char *(*reach_limit)(DlkBackend *self, const DlkTarget *target, const DlkRule *rule);
    /** Why a lock on this disk may be lost unseen, as a clause, transfer full; %NULL: it is seen. May be
     * missing. */
    char *(*unseen_loss)(DlkBackend *self, const DlkTarget *target, const DlkRule *rule);

    /** Can this backend lock such a disk at all? DLK_ERROR_UNSUPPORTED says why not; the rule's fallback
     * decides then. */
    gboolean (*probe)(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error);
    /** Takes the lock described by @hold (fd is -1, to be filled). DLK_ERROR_BUSY names who is in the way. */
    gboolean (*acquire)(DlkBackend *self, DlkHold *hold, const DlkRule *rule, GError **error);
    /** Is @hold still ours? @reason (out, transfer full): for LOST and UNKNOWN, one of DLK_REASON_…. */
    DlkCheck (*check)(DlkBackend *self, DlkHold *hold, char **reason);
    /** Changes the mode with no moment without a lock; on failure the old mode still stands. */
    gboolean (*convert)(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error);
    /** Gives the lock up, explicitly: a copy of the descriptor may live on. The target stays usable. */
    gboolean (*release)(DlkBackend *self, DlkHold *hold, GError **error);
    /**
     * Writes the record that tells other hosts of @hold, in its mode, or, where @stands is %FALSE, takes it
     * away. A hint: that it cannot be written is no error. Called while the lock is held. %NULL: there is
     * none.
     */
    void (*record)(DlkBackend *self, DlkHold *hold, gboolean stands);
    /**
     * Takes up what an earlier run of the service held: @hold, whose target was found again, is filled as by
     * acquire, in the mode that it says. @fds: what dlk_hold_fds() gave then, as far as copies outlived that
     * run, each taken over by setting it to -1; -1: there is none, and the lock is taken again. Nobody in
     * between is overlooked: DLK_ERROR_BUSY where somebody else has the disk, DLK_ERROR_LEASE_LOST where the
     * lock is gone; any other error: not known. %NULL: as acquire.
     */
    gboolean (*adopt)(DlkBackend *self, DlkHold *hold, int *fds, const DlkRule *rule, GError **error);
    /**
     * Adds to @holders (of DlkHolder) who has the disk, on this host or another, as far as records say so;
     * FALSE: could not be asked. %NULL: this backend knows of nobody.
     */
    gboolean (*holders)(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                        GError **error);
    /**
     * Removes what the host with the HostId @host holds of the disk. @removed: how many holds went.
     * DLK_ERROR_UNSUPPORTED: it cannot be done from here; the message says what to do. %NULL: unsupported.
     */
    gboolean (*fence)(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                      guint *removed, GError **error);
};

/*
 * The calls below are what the core uses: they add to the class what every backend needs. A disk that is a
 * file is checked against its path (replaced, deleted) and against the locks of others, whatever the backend.
 */
const char *dlk_backend_name(DlkBackend *self);
gboolean dlk_backend_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error);
/** Takes the lock and looks for foreign users; BUSY leaves nothing locked. @hold is filled. */
gboolean dlk_backend_acquire(DlkBackend *self, DlkHold *hold, const DlkRule *rule, GError **error);
/**
 * Is @hold still ours, and, for a file, does the name that it was found under still lead to it? A file that
 * was only moved away is still held. @reason (out, transfer full, %NULL where held): DLK_REASON_….
 */
DlkCheck dlk_backend_check(DlkBackend *self, DlkHold *hold, char **reason);
/** BUSY also where a foreign user of the disk tolerates the old mode and not the new one. A lock that has the
 * mode already is looked at all the same. */
gboolean dlk_backend_convert(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error);
/** To the mode that it had before a conversion that nobody waited for; no foreign user is asked about. */
gboolean dlk_backend_convert_back(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error);
gboolean dlk_backend_release(DlkBackend *self, DlkHold *hold, GError **error);
/** Takes up what an earlier run held; @fds as in the class, and closed where they are left. */
gboolean dlk_backend_adopt(DlkBackend *self, DlkHold *hold, int fds[DLK_HOLD_PARTS], const DlkRule *rule,
                           GError **error);
/** Adds to @holders (of DlkHolder) whom the records name; what is not confirmed may be false. */
gboolean dlk_backend_holders(DlkBackend *self, const DlkTarget *target, const DlkRule *rule,
                             GPtrArray *holders, GError **error);
/** Removes what a dead host holds. @removed is set in any case. */
gboolean dlk_backend_fence(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                           guint *removed, GError **error);
/**
 * Gives @hold up here and now where that cannot block, in any thread. FALSE: it was not;
 * dlk_backend_release() in a worker must. No other job of this disk may be under way or queued. The hold is
 * dropped in a worker all the same: closing its descriptor may block.
 */
gboolean dlk_backend_release_at_once(DlkBackend *self, DlkHold *hold);
