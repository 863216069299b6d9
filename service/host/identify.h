#pragma once

#include "backend/backend.h"
#include "host/mounts.h"
#include "host/resolve.h"

/**
 * dlk_identify_path: the disk that @path leads to.
 * @mounts: the table as it stands. @lane: the lane that the job runs in.
 * @elsewhere (out): set, and %NULL returned without @error, where the walk has to go on in another lane: the
 * path to go on with. Nothing is opened but with O_PATH. Errors: as dlk_resolve(), and DLK_ERROR_NOT_A_DISK
 * that says what it is instead ("a folder", "a FIFO"). Worker thread; may block.
 */
DlkTarget *dlk_identify_path(DlkMounts *mounts, const char *path, const char *lane, char **elsewhere,
                             GError **error);

/**
 * dlk_identify_cached: the same of @place, which dlk_resolve_cached() found; its descriptors are taken.
 * %NULL, and they are left, where more has to be looked at than is known: it is no file, the filesystem is
 * not local, an overlay may show it. Never blocks: any thread.
 */
DlkTarget *dlk_identify_cached(DlkMounts *mounts, DlkResolved *place);

/**
 * dlk_identify_fd: the disk behind @fd (taken over), which a client opened. The client proves access by how
 * it opened it: for writing unless @mode is read-only (DLK_ERROR_NOT_AUTHORIZED otherwise; O_PATH proves
 * nothing). A file without a name (unlinked, memfd) is no disk. @lane: recorded in the disk. Worker thread;
 * may block.
 */
DlkTarget *dlk_identify_fd(DlkMounts *mounts, int fd, DlkMode mode, const char *lane, GError **error);
