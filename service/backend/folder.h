#pragma once

#include <glib.h>

/**
 * DlkFolder: a folder that disks stand in, by one descriptor however many of its disks are leased.
 * Reference-counted; any thread.
 */
typedef struct _DlkFolder DlkFolder;

/**
 * The folder behind @fd (O_PATH, taken over: closed where the folder is known already). %NULL for -1, or
 * where it cannot be looked at. May block, in fstat(2).
 */
DlkFolder *dlk_folder_get(int fd);
void dlk_folder_unref(DlkFolder *self);
/** Its descriptor, borrowed. */
int dlk_folder_fd(const DlkFolder *self);
