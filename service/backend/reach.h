#pragma once

#include "backend/backend.h"

/* Whom a lease keeps out, and what a rule asks for. */

/** Why a lease of @backend on @target's disk under @rule would keep out nobody on other hosts, as a clause;
 * %NULL: it would. Free with g_free(). */
char *dlk_reach_limit(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule);
/** Why its lock may be lost without anybody's noticing, likewise. */
char *dlk_reach_unseen_loss(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule);
/** DLK_ERROR_UNSUPPORTED where @rule asks for more than @backend can do for this disk (reach=,
 * unseen-loss=). */
gboolean dlk_reach_suffices(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule,
                            GError **error);
