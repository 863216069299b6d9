#pragma once

#include "core/internal.h"

/**
 * DlkHolding: what keeps one held lease alive: its lock, and what its end depends on.
 */
typedef struct {
    /* First what a check of the lease comes by: its cost is that of fetching this from memory. */
    DlkEngine *engine; /* borrowed: it outlives every holding */
    DlkHold *hold;     /* %NULL once the lock is given up */
    DlkTimer *check_timer;
    GRefString *lane; /* the pool's for the checks; interned */
    guint number;     /* how many were made before this one */
    guint changes; /* convert, suspend, resume: begun and ended; an answer from before one is out of date */
    gboolean changing;    /* one of them is under way */
    gboolean checking;    /* a check is under way or queued */
    gboolean stirred;     /* meanwhile something happened that the check may have missed */
    gboolean provisional; /* after a restart: the storage has not answered yet whether it is still held */

    int folder_watch; /* of DlkFolderWatch, or -1 */
    int keep_fd;      /* lifetime fd: our end of the pipe, or -1 */
    DlkWatch *keep_watch;
    DlkTimer *risk_timer;         /* runs while the lease is at risk */
    DlkTimer *grace_timer;        /* runs while a terminated process, or the program, is given time */
    GSubprocess *program;         /* on-break exec: while it runs */
    guint stored[DLK_HOLD_PARTS]; /* of DlkFdStore: what keeps the lock while nobody runs; 0: nothing */
    guint stored_keep;            /* likewise the keep descriptor's other end */
    gboolean converting;          /* in what is written down: the lock may also have */
    DlkMode other_mode;           /* this mode, */
    guint spares[DLK_HOLD_PARTS]; /* and be kept by these of the store */
    gboolean suspending;          /* in what is written down: suspended already */
    gint64 risk_since;            /* at risk: since when, monotonic µs; else 0 */
    GRefString *bus;              /* lifetime connection: the id of the bus, */
    char *bus_name;               /* and the name there, of whom the lease ends with, or %NULL: not known */
    DlkTimer *claim_timer; /* runs while nobody knows whether that connection still is, and calls can come */
    guint action_failed : 1; /* the on-break action is over and has stopped nobody; the process still lives */
    guint released : 1;      /* while the on-break action ran: the lease ends when that is over */
    guint stopping : 1;      /* the on-break action is at stopping its process */
} DlkHolding;

static inline DlkHolding *
dlk_holding(const DlkLease *lease)
{
    return lease->holding;
}

/** Gives @lease its holding; takes @hold over. */
DlkHolding *dlk_holding_attach(DlkEngine *engine, DlkLease *lease, DlkHold *hold, int folder_watch);
/**
 * Starts to watch what @lease's end depends on: its process, @caller's connection, @keep_fd (taken over; -1:
 * none).
 */
gboolean dlk_holding_watch(DlkEngine *engine, DlkLease *lease, DlkCaller *caller, int keep_fd,
                           GError **error);
/**
 * @lease's end depends from now on on @process (%NULL: on none) and, with lifetime connection, on @caller's;
 * FALSE: everything is as it was. Not for a lease that ends with a descriptor.
 */
gboolean dlk_holding_hand_over(DlkEngine *engine, DlkLease *lease, DlkPidRef *process, DlkLifetime lifetime,
                               DlkCaller *caller, GError **error);
/** Stops all watching; the hold is left. */
void dlk_holding_unwatch(DlkEngine *engine, DlkLease *lease);
/** The leases in @set, each with a reference, for who changes it while he goes through them. */
GPtrArray *dlk_holding_leases_of(GHashTable *set);
/** Sets up what the engine keeps of processes and connections. */
void dlk_holding_init_engine(DlkEngine *engine);
/** Frees the holding; the hold's last reference must not be here, because its close may block. */
void dlk_holding_free(DlkLease *lease);
