#pragma once

#include <glib.h>

/**
 * What the kernel has to do for a lease of a local image, and nothing else: the file is found and looked at,
 * opened, locked, QEMU's locks are asked for, its folder is watched, a line of a journal is written, and all
 * that is undone. None of it is checked: the figure is a bound of what a service can reach, not a service.
 */
typedef struct _BareLock BareLock;

/** Where the main thread looks it up; %NULL: there is no such file. */
BareLock *bare_lock_find(const char *path);
/** What a worker does for Acquire. */
void bare_lock_take(BareLock *self);
/** What the main thread does for Release. */
void bare_lock_give_up(BareLock *self);
/** Closes the descriptors, and frees. */
void bare_lock_close(gpointer data);
