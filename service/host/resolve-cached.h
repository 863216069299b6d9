#pragma once

#include "host/resolve.h"

/**
 * dlk_resolve_cached: as dlk_resolve(), as far as the kernel has the path in its cache: RESOLVE_CACHED of
 * openat2(2), since Linux 5.12, is made for threads that must not wait. Never blocks: any thread. %NULL
 * without a word why: @path is not cached, is missing, has a link, "." or ".." in it …; then dlk_resolve() in
 * a worker tells. @left (out): what was opened in vain, to be freed in a worker, because a close may block;
 * or %NULL.
 */
DlkResolved *dlk_resolve_cached(const char *path, DlkResolved **left);
