#pragma once

#include "model/policy.h"

/**
 * dlk_lockspace_folder_open: a descriptor of the folder that @rule names with lockspace=, after it was made
 * sure that nobody but root can put anything there: it and every folder above it belong to root and are
 * writable for nobody else (but for folders above it with the sticky bit, as /tmp is), and no part of the
 * path is a symbolic link.
 *
 * -1 with DLK_ERROR_BACKEND_FAILED, which says what is to be done. Worker thread; may block.
 */
int dlk_lockspace_folder_open(const DlkRule *rule, GError **error);
/** Is it on a filesystem that other hosts share, or does @rule accept that it is not (local-locks=accept)? */
gboolean dlk_lockspace_folder_is_shared(const DlkRule *rule, GError **error);
