#pragma once

#include "core/internal.h"

/**
 * dlk_authority_ask: polkit's answer for @caller, as an error or none. Root is not asked about.
 * @details: as dlk_polkit_check_async(). Without a way to polkit the answer is no.
 */
void dlk_authority_ask_async(DlkEngine *engine, DlkCaller *caller, const char *action, GVariant *details,
                             gboolean interactive, GAsyncReadyCallback callback, gpointer user_data);

/**
 * dlk_authority_ask_finish: TRUE: yes. Errors: DLK_ERROR_NOT_AUTHORIZED; DLK_ERROR_INTERACTION_REQUIRED where
 * a prompt would be needed and was not allowed. @prompted (inout, optional): set where a person was asked and
 * agreed; if it is set already, a further prompt is not needed: he said yes to this very request.
 */
gboolean dlk_authority_ask_finish(DlkEngine *engine, GAsyncResult *result, gboolean *prompted,
                                  GError **error);
