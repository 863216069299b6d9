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

/**
 * dlk_scsi_drop_leftover: takes back what this service's host has registered @target with where no lease
 * relies on it: by this host's own paths and the keys of this life of it, so that what is anybody else's
 * stays, also of a host with the same id. Worker thread.
 */
gboolean dlk_scsi_drop_leftover(DlkBackend *backend, const DlkTarget *target, GError **error);

/** Takes the note back that this host is registered with the disk of @paths, if it no longer is with @key. */
void dlk_scsi_forget_if_gone(const char *disk_id, GPtrArray *paths, guint64 key);

/*
 * scsi-holders.c: the class's holders and fence. Holders are known by their keys alone, which a record beside
 * may belong to (model/holder-keys.h).
 */
gboolean dlk_scsi_holders(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule,
                          GPtrArray *holders, GError **error);
gboolean dlk_scsi_fence(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, const char *host,
                        guint *removed, GError **error);
