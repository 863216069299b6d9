#pragma once

#include "model/pr-type.h"

/** DlkPrState: who is registered with a disk, and who has reserved it. */
typedef struct {
    guint32 generation; /* the target's: grows with every register, preempt and clear */
    GArray *keys;       /* of guint64: one for each registered nexus, so that one key may be there often */
    DlkPrType type;     /* DLK_PR_NONE: nobody has reserved it */
    guint64 holder;     /* the key of who has; 0 where all registrants hold it */
} DlkPrState;

/** Nobody. */
DlkPrState *dlk_pr_state_new(void);
void dlk_pr_state_free(DlkPrState *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkPrState, dlk_pr_state_free)

/*
 * @key, below, is the key that a host goes by now. A path that did not answer when the bit "alone" of it was
 * changed has the old one, which is the same host's all the same.
 */

/** How many nexus are registered with @key. */
guint dlk_pr_state_count(const DlkPrState *self, guint64 key);
/** Is the reservation one of @type that who registered with @key holds? */
gboolean dlk_pr_state_is_held_by(const DlkPrState *self, guint64 key, DlkPrType type);

/** Whose keys stand in the way. */
typedef enum {
    DLK_PR_OBSTACLE_NONE,
    DLK_PR_OBSTACLE_HOST,     /* another host with this service */
    DLK_PR_OBSTACLE_STRANGER, /* somebody who is not this service: a cluster, a guest */
} DlkPrObstacle;

/**
 * dlk_pr_state_obstacle: who keeps the host that has made @key from having the disk in @type, beside what its
 * own earlier life has left: everybody, where @key says that it wants the disk for itself; else strangers,
 * hosts that want it for themselves, and another type of reservation.
 */
DlkPrObstacle dlk_pr_state_obstacle(const DlkPrState *self, guint64 key, DlkPrType type);

/**
 * dlk_pr_state_loss: why who has registered with @key does no longer hold the disk by @type: one of
 * DLK_PR_LOSS_…, static; %NULL: it does.
 */
const char *dlk_pr_state_loss(const DlkPrState *self, guint64 key, DlkPrType type);
#define DLK_PR_LOSS_PREEMPTED "preempted by another host"
#define DLK_PR_LOSS_KEY "registration gone"
#define DLK_PR_LOSS_RESERVATION "reservation gone"
#define DLK_PR_LOSS_FOREIGN_KEY "another host has registered"

/** The keys that are not of the host that has made @key, each once: "0x…, 0x…". Free with g_free(). */
char *dlk_pr_state_describe_others(const DlkPrState *self, guint64 key);
