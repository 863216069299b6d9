#pragma once

#include <glib.h>

/**
 * dlk_file_replace: writes @text to @path so that after a crash the file is either the old or the new one:
 * temporary file, fsync, rename, fsync of the folder. Owner and permissions stay; a new file is for its owner
 * alone (0600). Error: DLK_ERROR_BACKEND_FAILED.
 */
gboolean dlk_file_replace(const char *path, const char *text, GError **error);
