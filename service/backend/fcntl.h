#pragma once

#include "backend/backend.h"

#define DLK_TYPE_FCNTL_BACKEND dlk_fcntl_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkFcntlBackend, dlk_fcntl_backend, DLK, FCNTL_BACKEND, DlkBackend)
