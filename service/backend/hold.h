#pragma once

#include "base/fd.h"
#include "model/disk.h"
#include "model/holder.h"
#include "model/mode.h"
#include "model/policy.h"

#include <glib.h>

/* What a backend works on, and what it then holds. */

typedef struct _DlkBackend DlkBackend;

/** DlkTarget: the disk that a job works on, and by which descriptor. Immutable, shared; reference-counted
 * (atomic). */
typedef struct {
    DlkDisk *disk;
    int fd; /* of the very object that @disk describes: O_PATH, or, once locked, the lock's; -1 for network
               disks */
    struct _DlkFolder *folder; /* that the disk's last path component stands in, or %NULL */
    int folder_fd;             /* its descriptor (O_PATH), borrowed, or -1 */
    char *name;                /* that component, or %NULL */
    char *open_as;             /* as whom it is opened: a user, "owner", or %NULL for ourselves */
} DlkTarget;

/** Takes a reference to @disk and takes over both descriptors. */
DlkTarget *dlk_target_new(DlkDisk *disk, int fd, int folder_fd, const char *name);
/** Before the target is shared: the rule's open-as=, or %NULL. */
void dlk_target_set_open_as(DlkTarget *self, const char *open_as);
/** dlk_target_open: a new open file description of the disk, opened as the target says. @flags and result: as
 * dlk_fd_reopen(). */
int dlk_target_open(const DlkTarget *self, int flags);
DlkTarget *dlk_target_ref(DlkTarget *self);
/** Closes the descriptors with the last reference; that may block on hung storage: in workers only. */
void dlk_target_unref(DlkTarget *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkTarget, dlk_target_unref)

/* How far the asking after a hold has come; the core's. */
enum {
    DLK_HOLD_NOT_CHECKED,
    DLK_HOLD_BEING_CHECKED,
    DLK_HOLD_OVERDUE, /* it hangs: nobody waits for this answer any longer */
};

/** How many backends a rule may combine for one disk. */
#define DLK_HOLD_PARTS 2

/**
 * DlkHold: one lock that is held. Used by one job at a time; reference-counted (atomic). Dropping it is no
 * release: a copy of its descriptor elsewhere would keep the lock.
 */
typedef struct _DlkHold {
    GMutex mutex; /* a check may meet a change of the same lock in another worker: one call at a time */
    gint check;   /* atomic: DLK_HOLD_… */
    gint look_in; /* atomic: the so-manieth check from now looks at the disk's name; 0: each does */
    DlkBackend *backend;
    DlkTarget *target;
    DlkMode mode;
    gboolean strict;
    pid_t pid; /* whom the lease is for: its own locks on the disk are not foreign */
    /* The lock's open file description, or -1; closed with the last reference. Of the disk itself where it is
     * the target's, else of whatever the backend locks in its place. */
    int fd;
    /* The lock stands in this kernel's memory alone, and nothing else has to be undone: giving it up asks no
     * storage. Set by acquire. */
    gboolean release_never_blocks;
    DlkRule *rule;     /* that it was taken under; %NULL until then */
    DlkHolder *holder; /* whose it is, for the record that other hosts read; %NULL: they are told nothing, or
                          the backend keeps no record */
    guint64 key;       /* of SCSI or NVMe, that the lock stands by, for the record; 0: none */
    gpointer state;    /* the backend's own, or %NULL */
    GDestroyNotify free_state;
    /* Where a copy of a descriptor that is to take the place of @fd is kept before the lock moves to it; 0:
     * nowhere. */
    guint spare;
    gboolean (*keep_spare)(guint spare, int fd);
    guint spare_state;
    struct _DlkHold *parts[DLK_HOLD_PARTS]; /* of a combination: what each backend holds; else %NULL */
} DlkHold;

/** @target: for this hold alone, whose lock may take the place of its descriptor. */
DlkHold *dlk_hold_new(DlkBackend *backend, DlkTarget *target, DlkMode mode, gboolean strict, pid_t pid);
/** Of the checks of a name that is watched one in so many looks at it, while nothing is heard of it. */
#define DLK_HOLD_CHECKS_A_LOOK 8
/** dlk_hold_set_name_watched: is whatever happens to the disk's name heard of, so that few checks need to
 * look at it? Main thread. */
void dlk_hold_set_name_watched(DlkHold *self, gboolean watched);
/** The next check looks: something was heard, or what was seen was not right. Any thread. */
void dlk_hold_look_at_name(DlkHold *self);
/** For a check: is it to look at the name? */
gboolean dlk_hold_takes_look(DlkHold *self);
/** Before the hold is used: says whose it is. */
void dlk_hold_set_holder(DlkHold *self, DlkHolder *holder);
/**
 * dlk_hold_set_spares: where descriptors are kept over the end of the process, if the next change of the lock
 * makes new ones: @spares, one for each of dlk_hold_fds(), by @keep_spare; %NULL: nowhere. While no job uses
 * the hold, but for one that hangs and was given up.
 */
void dlk_hold_set_spares(DlkHold *self, const guint *spares, gboolean (*keep_spare)(guint spare, int fd));
/**
 * dlk_hold_take_spare: was a new descriptor for @part made and kept since then? %FALSE: nor will it be: the
 * place is the caller's again, and a worker that comes for it too late fails.
 */
gboolean dlk_hold_take_spare(DlkHold *self, guint part);
/**
 * For backends: @fd carries the lock beside the old descriptor, and will take its place; %FALSE: it could not
 * be kept, and must not.
 */
gboolean dlk_hold_keep_spare(DlkHold *self, int fd, GError **error);
/** Gives the hold its backend's own @state, freed by @free_state with the last reference. */
void dlk_hold_set_state(DlkHold *self, gpointer state, GDestroyNotify free_state);
/**
 * dlk_hold_fds: the descriptors, borrowed, whose copies keep the lock alive, in the order of the backend's
 * parts; -1 for a part that needs none. Returns how many parts there are: 1 but for a combination.
 */
guint dlk_hold_fds(const DlkHold *self, int fds[DLK_HOLD_PARTS]);
/**
 * dlk_hold_adopt_fd: @fd (taken over), which carries the lock, takes the place of the target's descriptor: a
 * lease costs one. The number stays the same, so that whoever uses the target at this moment sees the one or
 * the other.
 */
gboolean dlk_hold_adopt_fd(DlkHold *self, int fd, GError **error);
/** The pool's lane for work on @self. */
const char *dlk_hold_lane(const DlkHold *self);
DlkHold *dlk_hold_ref(DlkHold *self);
void dlk_hold_unref(DlkHold *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkHold, dlk_hold_unref)
