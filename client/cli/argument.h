#pragma once

#include <glib.h>

/*
 * What stands on the command line, made fit for the bus. Errors: DLK_ERROR_INVALID_ARGS, naming the argument.
 */

/** dlk_argument_text: FALSE unless @value is what the bus can carry, which is UTF-8. @name: "--owner". */
gboolean dlk_argument_text(const char *name, const char *value, GError **error);

/**
 * dlk_argument_path: @value made absolute against the working directory, links and ".." left as they are.
 * Free with g_free().
 */
char *dlk_argument_path(const char *value, GError **error);

/** dlk_argument_seconds: @seconds, of option @name, in milliseconds, rounded up. */
gboolean dlk_argument_seconds(const char *name, double seconds, guint32 *milliseconds, GError **error);

/** dlk_argument_uid: @value is a uid in digits or a user's name. */
gboolean dlk_argument_uid(const char *name, const char *value, guint32 *uid, GError **error);
