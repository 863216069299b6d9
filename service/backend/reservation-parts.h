#pragma once

#include "backend/reservation.h"

/* What the files of DlkReservation share. */

/** Why @state is not, or not only, what was reserved: DLK_PR_LOSS_…, or %NULL. */
const char *dlk_reservation_loss(const DlkReservation *self, const DlkPrState *state);
/**
 * Registers @path, whether it is not registered or is with any key of this host in @state; that it is now is
 * remembered. DLK_ERROR_BUSY: it is with another host's.
 */
gboolean dlk_reservation_register_path(DlkReservation *self, const DlkPrPath *path, const DlkPrState *state,
                                       GError **error);
/** Registers all paths that answer, at least one. */
gboolean dlk_reservation_register(DlkReservation *self, GPtrArray *paths, const DlkPrState *state,
                                  GError **error);
/** Changes the type of what an earlier life of this host has left, which no lease relies on. */
gboolean dlk_reservation_change_leftover(DlkReservation *self, GPtrArray *paths, const DlkPrState *state,
                                         DlkPrType type, GError **error);
/** Sets DLK_ERROR_BUSY: who is in the way. Returns FALSE. */
gboolean dlk_reservation_set_busy(const DlkReservation *self, const DlkPrState *state, const char *label,
                                  GError **error);
