#pragma once

#include "backend/backend.h"

/**
 * Two backends that lock a disk together ("scsi+lockspace"): both hold it, or neither. The first is locked
 * first and given up last. Whichever loses its lock loses the lease. A part that cannot express a mode (the
 * backend scsi has no read-only leases) stays out of it, where the other can: then that one alone keeps
 * others away, and a lease of another mode meets it there.
 */
#define DLK_TYPE_COMBINED_BACKEND dlk_combined_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkCombinedBackend, dlk_combined_backend, DLK, COMBINED_BACKEND, DlkBackend)

/** Two different ones, which live as long as the process. */
DlkBackend *dlk_combined_backend_new(DlkBackend *first, DlkBackend *second);
