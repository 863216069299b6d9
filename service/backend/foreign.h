#pragma once

#include "backend/backend.h"

/**
 * dlk_foreign_find: everyone but our own holds and the process @exempt_pid (0: nobody is exempt) who uses @target.
 * Returns an array of DlkForeign, empty where there is nobody, or %NULL with DLK_ERROR_BACKEND_FAILED where the
 * question could not be put. Asks about files with F_OFD_GETLK on a read-only descriptor; block devices are not opened.
 * Worker thread; may block.
 */
GPtrArray *dlk_foreign_find(const DlkTarget *target, pid_t exempt_pid, GError **error);

/**
 * dlk_foreign_obstacle: the first of @foreigners that a lease in @mode cannot stand beside, borrowed, or %NULL.
 */
const DlkForeign *dlk_foreign_obstacle(GPtrArray *foreigners, DlkMode mode, gboolean strict);

/** dlk_foreign_describe: "qemu-system-x86 (pid 4711) has it open for writing". Free with g_free(). */
char *dlk_foreign_describe(const DlkForeign *foreign);
