#pragma once

#include "backend/backend.h"

/** By version 3 of NFS F_OFD_GETLK finds what another host has locked for writing, and not what it has locked
 * for reading (seen on Linux 6.1): FALSE there. */
gboolean dlk_fcntl_sees_read_locks(const DlkTarget *target);

/* fcntl-holders.c: the class's record, holders and fence */
void dlk_fcntl_record(DlkBackend *self, DlkHold *hold, gboolean stands);
gboolean dlk_fcntl_holders(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                           GError **error);
gboolean dlk_fcntl_fence(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                         guint *removed, GError **error);
