#pragma once

#include <sys/types.h>

typedef enum {
    DLK_OPEN_NO,
    DLK_OPEN_READ_ONLY,
    DLK_OPEN_WRITABLE,
    DLK_OPEN_UNKNOWN,
} DlkOpen;

/**
 * How does process @pid have the disk @path open, whatever name it opened it by? Never waits for storage:
 * where the kernel would have to ask it, the answer is that it is not known, unless it was opened by @path.
 */
DlkOpen dlk_process_has_open(pid_t pid, const char *path);
