#pragma once

#include "backend/backend.h"

/** The table alone: exclusive on this host, whatever the disk; locks nothing. */
#define DLK_TYPE_HOST_BACKEND dlk_host_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkHostBackend, dlk_host_backend, DLK, HOST_BACKEND, DlkBackend)
