#pragma once

#include "backend/backend.h"

/**
 * Open-file-description locks on the bytes of image-locks.h, for regular files: virtlockd, and this service
 * on other hosts that share the filesystem, are kept out, and keep us out.
 *
 * An exclusive lease write-locks byte 0, the others read-lock it. Where the rule says readers=strict, a
 * shared lease also read-locks byte 2 and a read-only one byte 3, and then asks that nobody has the other's
 * byte. Taken first, asked after: of two that come at once both may be refused, but never are both let in.
 */
#define DLK_TYPE_FCNTL_BACKEND dlk_fcntl_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkFcntlBackend, dlk_fcntl_backend, DLK, FCNTL_BACKEND, DlkBackend)
