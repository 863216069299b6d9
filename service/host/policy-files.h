#pragma once

#include "model/policy-parser.h"

/**
 * dlk_policy_files_load: reads the policy.
 * @file: the whole policy (--config), or %NULL for the system's: POLICY_DIR/disklock.conf.d/(*).conf,
 * POLICY_DIR/disklock.conf, VENDOR_POLICY_DIR/disklock.conf.d/(*).conf, VENDOR_POLICY_DIR/disklock.conf, in
 * this order of precedence; a drop-in of /etc masks the vendor's of the same name.
 * @root: prepended to the system's paths, for tests; %NULL: none.
 * A file that is there but cannot be read is a mistake. Blocks; local files. DLK_ERROR_BAD_POLICY lists all
 * mistakes.
 */
DlkPolicy *dlk_policy_files_load(const char *file, const char *root, const char *const *backends,
                                 GError **error);
