#pragma once

#include "backend/backend.h"

/**
 * DlkScsiBackend ("scsi"): persistent reservations of the disk itself, which its target enforces against
 * every host. Whole disks of SCSI, multipath maps of them, and namespaces of NVMe.
 *
 * exclusive is a reservation for registrants only, while nobody but this host is registered; shared one for
 * all registrants; read-only cannot be said by a reservation. The reservation is the host's: leases of one
 * host on one disk share it, and the last one gives it up.
 */
#define DLK_TYPE_SCSI_BACKEND dlk_scsi_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkScsiBackend, dlk_scsi_backend, DLK, SCSI_BACKEND, DlkBackend)

struct _DlkLuns;
/** What leases of this host share; borrowed. */
struct _DlkLuns *dlk_scsi_backend_luns(DlkScsiBackend *self);

/*
 * scsi-holders.c: the class's holders and fence. Holders are known by their keys alone, which a record beside
 * may belong to (model/holder-keys.h).
 */
gboolean dlk_scsi_holders(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule,
                          GPtrArray *holders, GError **error);
gboolean dlk_scsi_fence(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, const char *host,
                        guint *removed, GError **error);
