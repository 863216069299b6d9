#pragma once

#include "backend/backend.h"

/**
 * dlk_foreign_find: everyone but our own holds and the process @exempt_pid (0: nobody is exempt) who uses
 * @target. Returns an array of DlkForeign, empty where there is nobody, or %NULL with
 * DLK_ERROR_BACKEND_FAILED where the question could not be put. Asks with F_OFD_GETLK on a read-only
 * descriptor; for what the kernel itself does with a disk see foreign-block.h. Network disks have no foreign
 * users that could be seen. Worker thread; may block.
 *
 * Everyone, with one limit of the kernel's: it names one lock where several overlap, so that somebody on
 * another host is not seen behind a process of this host that has locked the same byte.
 */
GPtrArray *dlk_foreign_find(const DlkTarget *target, pid_t exempt_pid, GError **error);

/**
 * dlk_foreign_find_beside: likewise, but only those who could be in the way of @hold in @mode, asked by the
 * hold's own descriptor where it has one. What its own lock on byte 0 keeps out is not asked again.
 */
GPtrArray *dlk_foreign_find_beside(const DlkHold *hold, DlkMode mode, GError **error);

/**
 * dlk_foreign_obstacle: the first of @foreigners that a lease in @mode cannot stand beside, borrowed, or
 * %NULL.
 */
const DlkForeign *dlk_foreign_obstacle(GPtrArray *foreigners, DlkMode mode, gboolean strict);

/** Is it a process (perhaps of another host), and not the kernel that uses the disk? */
gboolean dlk_foreign_is_process(const DlkForeign *foreign);
/**
 * dlk_foreign_describe: "qemu-system-x86 (pid 4711) has it open for writing", "a filesystem on it is mounted
 * at /mnt". Free with g_free().
 */
char *dlk_foreign_describe(const DlkForeign *foreign);
/** dlk_foreign_advise: what can be done about it: "unmount it first". Static. */
const char *dlk_foreign_advise(const DlkForeign *foreign);
