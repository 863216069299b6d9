#pragma once

#include "core/internal.h"

/*
 * One acquisition, from the authorised request to the granted leases: the steps in acquire.c, in that order.
 * Each ends with dlk_acquire_next() or with dlk_acquire_fail(), after whatever it started has come back. All
 * disks of a request go through a step together, and in the queue step all of them are reserved at once, so
 * that sets cannot deadlock.
 */
typedef struct _DlkAcquire DlkAcquire;

/** DlkLeave: how far polkit has said yes to a disk; root needs none. */
typedef enum {
    DLK_LEAVE_NONE,
    DLK_LEAVE_PATH, /* to the path: it may be looked at */
    DLK_LEAVE_DISK, /* to the disk that it leads to: it may be taken */
    DLK_LEAVE_ACT,  /* and for a process that the caller needs leave for */
} DlkLeave;

/** DlkItem: one disk of the request. */
typedef struct _DlkItem {
    DlkWanted *wanted;
    DlkTarget *target;
    DlkLease *lease;
    DlkBackend *backend, *fallback;
    DlkHold *hold; /* from lock to remember */
    int folder_watch;
    DlkLeave leave;
    gboolean prompted;            /* a person was asked about it, and agreed */
    const struct _DlkItem *above; /* the image whose header names this one, or %NULL */
    gboolean followed;            /* its header has been read */
    gboolean adopted;             /* @lease is one that the owner had before: nothing of it is taken back */
} DlkItem;

struct _DlkAcquire {
    DlkEngine *engine;
    GTask *task;
    DlkRequest *request;
    DlkPidRef *process; /* whom the leases are for, or %NULL */
    DlkLeave needed;    /* from polkit, for each disk */
    gboolean prompted;  /* a person was asked about the process, shown the first path, and agreed */
    GPtrArray *items;   /* of DlkItem; grows while backing chains are followed */

    guint step;
    guint outstanding; /* jobs of this step that have not come back */
    GError *error;     /* the first failure of this step */
    DlkItem *failed;   /* lock: whose it is */

    gint64 wait_until;   /* monotonic µs */
    DlkTimer *timer;     /* waiting: the end of the wait, or the next try */
    gulong gone_handler; /* waiting: the caller may leave the bus */
    guint back_off_ms;
    int keep_fd; /* for the caller, or -1 */
};

static inline DlkItem *
dlk_acquire_item(const DlkAcquire *self, guint index)
{
    return g_ptr_array_index(self->items, index);
}

/** Adds @wanted to what the request takes; borrowed. */
DlkItem *dlk_acquire_add_item(DlkAcquire *self, DlkWanted *wanted);
/** Takes @item out of what the request takes, and frees it. */
void dlk_acquire_remove_item(DlkAcquire *self, DlkItem *item);
/**
 * For messages, as the caller knows it: "disk vda (line 12)" of a domain, or the path. One that came by a
 * descriptor has a name only once it is identified.
 */
const char *dlk_acquire_item_name(const DlkItem *item);

/* The steps. */
void dlk_acquire_find_process(DlkAcquire *self);
void dlk_acquire_authorise_process(DlkAcquire *self);
void dlk_acquire_authorise_paths(DlkAcquire *self);
void dlk_acquire_identify(DlkAcquire *self);
void dlk_acquire_follow_chains(DlkAcquire *self);
void dlk_acquire_choose_rules(DlkAcquire *self);
void dlk_acquire_authorise_disks(DlkAcquire *self);
void dlk_acquire_adopt(DlkAcquire *self);
void dlk_acquire_queue(DlkAcquire *self);
void dlk_acquire_lock(DlkAcquire *self);
void dlk_acquire_remember(DlkAcquire *self);
void dlk_acquire_announce(DlkAcquire *self);

/** How many of the request's disks have to be locked: those that were not adopted. */
guint dlk_acquire_count_new(const DlkAcquire *self);
/** Hands the adopted leases over to the request's process; FALSE where one has ended meanwhile. */
gboolean dlk_acquire_hand_over(DlkAcquire *self, GError **error);

/** The step is done. */
void dlk_acquire_next(DlkAcquire *self);
/** Back to the step that asks about paths: the request has grown. */
void dlk_acquire_go_on_with_new_items(DlkAcquire *self);
/** Runs the current step again. */
void dlk_acquire_run_step(DlkAcquire *self);
/** The request has failed: takes back what it has, and answers @error (taken over). */
void dlk_acquire_fail(DlkAcquire *self, GError *error);
void dlk_acquire_fail_literal(DlkAcquire *self, int code, const char *message);
/** Takes back whatever this request has in the table and whatever it has locked. */
void dlk_acquire_take_back(DlkAcquire *self);

/** Waits until @until (monotonic µs), then calls @on_timer; fails if the caller leaves the bus meanwhile. */
void dlk_acquire_start_waiting(DlkAcquire *self, gint64 until, GSourceOnceFunc on_timer);
void dlk_acquire_stop_waiting(DlkAcquire *self);

/**
 * Starts a job for @item: counts it, and makes the user_data for dlk_acquire_on_item_done(), which calls
 * @done.
 */
typedef void (*DlkItemDone)(DlkAcquire *self, DlkItem *item, GAsyncResult *result);
gpointer dlk_acquire_item_call(DlkAcquire *self, DlkItem *item, DlkItemDone done);
void dlk_acquire_on_item_done(GObject *source, GAsyncResult *result, gpointer user_data);
/** A job of this step has come back, with @error (taken over) or %NULL. TRUE: it was the last. */
gboolean dlk_acquire_job_done(DlkAcquire *self, GError *error);
