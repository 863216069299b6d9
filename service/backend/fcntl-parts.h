#pragma once

#include "backend/backend.h"

/* fcntl-holders.c: the class's record, holders and fence */
void dlk_fcntl_record(DlkBackend *self, DlkHold *hold, gboolean stands);
gboolean dlk_fcntl_holders(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                           GError **error);
gboolean dlk_fcntl_fence(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                         guint *removed, GError **error);
