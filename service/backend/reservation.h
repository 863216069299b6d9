#pragma once

#include "backend/pr-paths.h"

/**
 * DlkReservation: the one reservation that this host has of a disk, however many leases it serves. Whoever
 * uses it keeps others out; worker threads.
 *
 * The order is always: register, reserve, read whether it is so. A lease counts on nothing that a command
 * returned, only on what was read afterwards.
 */
typedef struct {
    guint64 key; /* 0: not registered */
    DlkPrType type;
    guint nexus;        /* how many registrations with the key the target has told of */
    GArray *registered; /* of guint64: the sequence numbers of the paths that are registered */
} DlkReservation;

DlkReservation *dlk_reservation_new(void);
void dlk_reservation_free(DlkReservation *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkReservation, dlk_reservation_free)

/**
 * dlk_reservation_take: registers every path with @key and reserves by @type. What an earlier life of this
 * host has left is taken over. @label: the disk's, for messages. DLK_ERROR_BUSY names whose keys are in the
 * way, which are left alone. On failure nothing is left behind that can be taken back.
 */
gboolean dlk_reservation_take(DlkReservation *self, GPtrArray *paths, guint64 key, DlkPrType type,
                              const char *label, GError **error);
/**
 * dlk_reservation_convert: changes the type, and with it whether others may join. On failure the old type
 * stands. DLK_ERROR_LEASE_LOST: it was no longer ours; DLK_ERROR_BUSY: others share the disk.
 */
gboolean dlk_reservation_convert(DlkReservation *self, GPtrArray *paths, DlkPrType type, const char *label,
                                 GError **error);
/**
 * dlk_reservation_give_back: releases what is held and unregisters every path. What others hold stays. Where
 * it is gone already that is no error. DLK_ERROR_UNREACHABLE: it may still stand.
 */
gboolean dlk_reservation_give_back(DlkReservation *self, GPtrArray *paths, const char *label, GError **error);
/**
 * dlk_reservation_check: is it still ours? Paths that have come since are registered. @reason (out, transfer
 * full): of LOST and UNKNOWN.
 */
DlkCheck dlk_reservation_check(DlkReservation *self, GPtrArray *paths, char **reason);

/**
 * dlk_reservation_adopt: goes on with what is registered and reserved by an earlier process of this host, of
 * which @key is the key today, whatever its generation. Where that process was just changing the type, it is
 * changed to @type; DLK_ERROR_BUSY: others have joined by then. That it is not ours any more is no error: the
 * check says it, and why.
 */
gboolean dlk_reservation_adopt(DlkReservation *self, GPtrArray *paths, guint64 key, DlkPrType type,
                               const char *label, GError **error);
/**
 * dlk_reservation_drop_leftover: gives back what an earlier process of this host, which no lease tells of,
 * has left by @paths, with @key or the other of its pair; another host's that goes by our id stays.
 * DLK_ERROR_UNREACHABLE: not known whether it is gone.
 */
gboolean dlk_reservation_drop_leftover(DlkReservation *self, GPtrArray *paths, guint64 key, const char *label,
                                       GError **error);
/**
 * dlk_reservation_fence: takes away whatever the host with the HostId @host is registered with, and with it
 * what it has reserved; nobody else's. @removed (out): how many registrations went. @key: this host's, by
 * which it registers for that time, unless it is registered.
 * DLK_ERROR_UNREACHABLE: not all went. @held: leases of this host rely on @self.
 */
gboolean dlk_reservation_fence(DlkReservation *self, GPtrArray *paths, guint64 key, gboolean held,
                               const char *host, const char *label, guint *removed, GError **error);
