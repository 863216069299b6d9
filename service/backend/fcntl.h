#pragma once

#include "backend/backend.h"

/**
 * Open-file-description locks (lease-locks.h) on regular files: virtlockd, and this service on other hosts
 * that share the filesystem, are kept out, and keep us out.
 */
#define DLK_TYPE_FCNTL_BACKEND dlk_fcntl_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkFcntlBackend, dlk_fcntl_backend, DLK, FCNTL_BACKEND, DlkBackend)
