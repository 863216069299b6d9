#pragma once

#include "backend/pr-path.h"

/* What NVMe and SCSI are asked in different ways; see pr-path.h. */
DlkPrState *dlk_pr_read_scsi(const DlkPrPath *path, GError **error);
DlkPrState *dlk_pr_read_nvme(const DlkPrPath *path, GError **error);
gboolean dlk_pr_read_nvme_types(const DlkPrPath *path, guint *types, GError **error);
gboolean dlk_pr_read_scsi_types(const DlkPrPath *path, guint *types, GError **error);
GPtrArray *dlk_pr_read_scsi_registrants(const DlkPrPath *path, GError **error);
void dlk_pr_clear_nvme_events(const DlkPrPath *path);
/** For which linux/pr.h has no call: registering with the key 0 instead of @key would do just that. */
gboolean dlk_pr_unregister_nvme(const DlkPrPath *path, guint64 key, GError **error);
/** PERSISTENT RESERVE OUT, REGISTER, for a target that refuses to keep registrations over a loss of power. */
gboolean dlk_pr_register_scsi_plainly(const DlkPrPath *path, guint64 old, guint64 new, GError **error);
