#pragma once

#include "base/pid-ref.h"
#include "model/disk.h"
#include "model/mode.h"
#include "model/on-break.h"
#include "model/options.h"
#include "model/policy.h"

#include <glib.h>

/** DlkLeaseId: 128 random bits; on the bus 32 lower-case hex digits. */
typedef struct {
    guint64 high, low;
} DlkLeaseId;
#define DLK_LEASE_ID_LENGTH 32
/** Enough of it to name a lease in a message: disklockctl takes a prefix. */
#define DLK_LEASE_ID_PREFIX 8

void dlk_lease_id_random(DlkLeaseId *id);
/** FALSE for anything but exactly 32 lower-case hex digits. */
gboolean dlk_lease_id_parse(const char *text, DlkLeaseId *id);
void dlk_lease_id_format(const DlkLeaseId *id, char text[DLK_LEASE_ID_LENGTH + 1]);
guint dlk_lease_id_hash(gconstpointer id);
gboolean dlk_lease_id_equal(gconstpointer a, gconstpointer b);

/** DlkPhase: where a lease is on its way through the service; only a held one is seen on the bus. */
typedef enum {
    DLK_PHASE_NEW,     /* not in the table */
    DLK_PHASE_WAITING, /* in the queue for its disk */
    DLK_PHASE_LOCKING, /* reserved: a worker is taking the lock */
    DLK_PHASE_HELD,
    DLK_PHASE_ENDING, /* given up, but its lock is not yet known to be gone: still keeps others out */
    DLK_PHASE_BROKEN, /* readable, keeps nobody out */
    DLK_PHASE_ENDED,
} DlkPhase;

/** DlkLeaseState: what the bus says of a lease. */
typedef enum {
    DLK_STATE_ACTIVE,
    DLK_STATE_SUSPENDED,
    DLK_STATE_AT_RISK,
    DLK_STATE_BROKEN,
    DLK_N_STATES
} DlkLeaseState;

const char *dlk_lease_state_to_string(DlkLeaseState state);
gboolean dlk_lease_state_from_string(const char *text, DlkLeaseState *state, GError **error);
/** Is @from → @to a step that a lease may take? */
gboolean dlk_lease_state_may_follow(DlkLeaseState from, DlkLeaseState to);

struct _DlkPlace;

/** DlkLease: one claim of one disk, from its reservation to its end. Main thread only; reference-counted. */
typedef struct {
    /* First what the core comes by each time that it asks after the lease. */
    guint references;
    DlkPhase phase;
    DlkLeaseState state;
    DlkLeaseState told; /* active, at risk or broken: what the bus was told of last; the bus's */
    gpointer holding;   /* the core's: what keeps a held lease alive, or %NULL */
    DlkRule *rule;
    gint64 checked_at; /* µs, CLOCK_REALTIME */

    gint64 acquired_at; /* likewise */
    DlkLeaseId id;
    DlkMode mode;
    DlkLifetime lifetime;
    DlkOnBreak on_break;
    uid_t uid;
    pid_t pid;             /* whom the lease is for; stays as a number after its end */
    gboolean adopted;      /* more than one request was answered with it */
    gboolean is_data_file; /* it was taken as part of an image: its external data file, or an extent */
    guint64 token;         /* 0 until granted */
    char *path;            /* as the caller named it; the disk's own where that is the same */
    GRefString *owner;
    GRefString *owner_uuid; /* or %NULL */
    GRefString *why;        /* or %NULL */
    const char *backend;    /* interned */
    char *broken_reason;    /* or %NULL */
    gboolean revoked;       /* broken_reason is what an administrator wrote */
    char *risk_reason;      /* of the last time at risk, or %NULL */
    DlkDisk *disk;
    DlkPidRef *process; /* or %NULL once it has ended */
    gboolean
        by_descriptor;  /* the caller proved access by having opened the disk, for writing unless read-only */
    gpointer group;     /* leases of one request carry the same value and do not hinder each other */
    gint64 recorded_at; /* the journal's: where the lease is written down; 0: nowhere; negative: during a
                           start, where the earlier run wrote it */
    struct _DlkPlace *places; /* the table's */
    guint64 order;            /* the table's: place in the queue */
} DlkLease;

DlkLease *dlk_lease_new(DlkDisk *disk, DlkRule *rule, DlkMode mode);
/** Names the disk of @self, which has no name yet, as the caller did. @path: taken over. */
void dlk_lease_take_path(DlkLease *self, char *path);
DlkLease *dlk_lease_ref(DlkLease *self);
void dlk_lease_unref(DlkLease *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkLease, dlk_lease_unref)
