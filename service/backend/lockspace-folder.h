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
/** Why locks there are known to this host alone, as a clause; %NULL: every host that shares it sees them.
 * Touches no storage. Free with g_free(). */
char *dlk_lockspace_folder_limit(const DlkRule *rule);
/** Why one may be lost there without anybody's noticing, likewise. */
char *dlk_lockspace_folder_unseen_loss(const DlkRule *rule);
/** The type of its filesystem, as mountinfo has it; %NULL: not known. Free with g_free(). */
char *dlk_lockspace_folder_filesystem(const DlkRule *rule);
/**
 * Do they reach as far as @rule asks, which is to other hosts where it does not say reach=host? Not
 * DLK_ERROR_UNSUPPORTED, as elsewhere, but DLK_ERROR_BACKEND_FAILED: mostly the filesystem is not mounted
 * yet, and that is no reason to do without.
 */
gboolean dlk_lockspace_folder_suffices(const DlkRule *rule, GError **error);
