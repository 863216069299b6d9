#pragma once

/* What the files of the core share. */

#include "backend/backend.h"
#include "base/timers.h"
#include "core/engine.h"
#include "core/journal.h"
#include "host/fd-store.h"
#include "host/folder-watch.h"
#include "host/identify.h"
#include "host/lease-journal.h"
#include "host/mounts.h"
#include "host/nvme-events.h"
#include "host/pool.h"
#include "host/token.h"
#include "host/watcher.h"

struct _DlkEngine {
    GObject parent_instance;

    char *runtime_dir;
    char *config_file;
    GRefString *host_id, *host_name; /* what other hosts are told */
    DlkPolicy *policy;
    guint64 policy_generation;

    DlkTable *table;
    DlkTokens *tokens;
    DlkPool *pool;
    DlkTimers *timers;
    DlkMountTable *mounts;
    DlkWatcher *watcher;
    DlkFolderWatch *folder_watch;
    DlkNvmeEvents *nvme_events; /* or %NULL: the kernel does not let us listen */
    DlkPolkit *polkit;
    DlkLeaseJournal *lease_journal;
    DlkTimer *record_timer; /* runs while something could not be written into it */
    DlkFdStore *fd_store;

    GHashTable *processes;   /* DlkPidRef → set of the leases that it is the process of */
    GHashTable *connections; /* bus name → set of its `connection` leases */
    GHashTable *unclaimed;   /* set of `connection` leases whose connection may be gone */
    GRefString *bus;         /* the id of the bus that the service is on, or %NULL */
    guint attached;          /* how many holdings were made so far */
    GHashTable *due;         /* lane, interned → GPtrArray of the leases that are to be checked next */
    DlkTimer *due_timer;
    GQueue rounds; /* of gint64 *: until when each round of checks that is under way has to be answered */
    struct _DlkProgress *progress; /* or %NULL: nobody wants to know */
};

/* identification.c: path or descriptor → target, over as many lanes as its links lead through */

/** The target, where the kernel knows all of @path without asking a storage; else %NULL, and a worker has to
 * look. The fast path: no turn of the loop. */
DlkTarget *dlk_identification_peek(DlkEngine *engine, const char *path);
/** @fd: taken over; -1 where @path is given. @lane_uid: whose lane a descriptor's work is charged to. @queue:
 * put before the lane's name: "", or whose questions are to wait for each other alone. */
void dlk_identification_start(DlkEngine *engine, const char *path, int fd, DlkMode mode, uid_t lane_uid,
                              const char *queue, GAsyncReadyCallback callback, gpointer user_data);
DlkTarget *dlk_identification_finish(GAsyncResult *result, GError **error);
/** Where @path was the name of a volume of libvirt's: by which path QEMU opens it. Transfer full, or %NULL.
 */
char *dlk_identification_volume_path(GAsyncResult *result);

/* acquire.c */

/** @lease waits in the queue: can its request be served now? */
void dlk_acquire_try_again(gpointer acquire);
/** Serves those who wait for @disk, first come, first served. */
void dlk_acquire_wake(DlkEngine *engine, DlkDisk *disk);

/* refusal.c: why somebody is refused, as far as he may know */

/**
 * Puts into words who keeps @lease out of @mode: @obstacle, and how many besides; asks polkit whether @caller
 * may know.
 */
void dlk_refusal_describe_async(DlkEngine *engine, const DlkLease *lease, DlkMode mode, DlkLease *obstacle,
                                DlkCaller *caller, GAsyncReadyCallback callback, gpointer user_data);
/** The sentence, transfer full. */
char *dlk_refusal_describe_finish(GAsyncResult *result);
/** "held exclusively by web01 (qemu-system-x86, pid 4711, uid 64055) on this host since 2026-11-23 14:10:05".
 * Transfer full. */
char *dlk_refusal_describe_holder(const DlkLease *holder);

/** Puts the disk before an error that does not name it; %NULL in @error: nothing. */
void dlk_refusal_name_disk(GError **error, const DlkLease *lease);

/* break.c: active, at risk, broken, and back */

/** A step that nobody has to be alarmed about: suspended, resumed. */
void dlk_break_set_state(DlkEngine *engine, DlkLease *lease, DlkLeaseState state);
void dlk_break_set_at_risk(DlkEngine *engine, DlkLease *lease, const char *reason);
void dlk_break_restore(DlkEngine *engine, DlkLease *lease);
/** The lease is broken: its on-break action runs, and when that is done its lock is given up. */
void dlk_break_now(DlkEngine *engine, DlkLease *lease, const char *reason);
/** The process of a broken lease has ended. */
void dlk_break_process_ended(DlkEngine *engine, DlkLease *lease);
/** The lock of a broken lease is given up: others may have the disk. */
void dlk_break_give_up(DlkEngine *engine, DlkLease *lease);

/* action.c: what is done to the process of a lease that breaks */

/**
 * Runs @lease's on-break action. TRUE: nothing more is to come, the lock may be given up; FALSE: the process
 * still has to end, and dlk_break_process_ended() or dlk_break_give_up() will be called.
 */
gboolean dlk_action_run(DlkEngine *engine, DlkLease *lease);
/** The process of @lease @stands still, or resists (FALSE): the action that waited for it goes on. */
void dlk_action_go_on(DlkLease *lease, gboolean stands);

/* monitor.c: every lease is asked after by its rule's interval, and at once when its folder stirs, or its
 * NVMe controller */

void dlk_monitor_watch(DlkEngine *engine, DlkLease *lease);
/** A lease of an earlier run that is at risk because its storage does not answer is asked after again, later.
 */
void dlk_monitor_try_later(DlkEngine *engine, DlkLease *lease);
/** A suspended lease, which nobody asks after, is active again; its file may have been replaced meanwhile. */
void dlk_monitor_resume(DlkEngine *engine, DlkLease *lease);
void dlk_monitor_forget(DlkEngine *engine, DlkLease *lease, DlkTarget *target);
void dlk_monitor_disk_stirred(const char *disk_id, gpointer user_data);
/** Something happened to the reservation of some namespace of NVMe. */
void dlk_monitor_namespaces_stirred(gpointer user_data);
void dlk_monitor_init_engine(DlkEngine *engine);
/** Is there a round of checks that should have been answered more than @slack (µs) ago? Storage that hangs is
 * an answer. */
gboolean dlk_monitor_is_behind(DlkEngine *engine, gint64 slack);
