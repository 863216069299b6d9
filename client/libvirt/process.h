#pragma once

#include <sys/types.h>

/** Each is more than those before it. */
typedef enum {
    DLK_OPEN_NO,
    DLK_OPEN_UNKNOWN,
    DLK_OPEN_READ_ONLY,
    DLK_OPEN_WRITABLE,
} DlkOpen;

/**
 * How does process @pid have a disk open, whatever name it opened it by? @disk is its identity, as ListLeases
 * has it; where that is not known (%NULL), or names neither a file nor a device by its number, what @path
 * leads to is looked for. Never waits for storage: where the kernel would have to ask it what that is, the
 * answer is that it is not known, unless it was opened by @path.
 */
DlkOpen dlk_process_has_open(pid_t pid, const char *disk, const char *path);
