#include "argument.h"

#include "base/error.h"
#include "model/network-disk.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

gboolean
dlk_argument_text(const char *name, const char *value, GError **error)
{
    if (g_utf8_validate(value, -1, NULL))
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "%s '%s' is not UTF-8, which is all that D-Bus can carry", name, value);
    return FALSE;
}

static gboolean
check_path_text(const char *path, GError **error)
{
    if (g_utf8_validate(path, -1, NULL))
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "the file name '%s' is not UTF-8, which is all that D-Bus can carry\n"
                "rename it, or name it by a link: ln -s -- FILE /run/NAME, then use /run/NAME",
                path);
    return FALSE;
}

char *
dlk_argument_path(const char *value, GError **error)
{
    if (!*value) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the path is empty");
        return NULL;
    }
    if (*value == '/' || dlk_network_is_uri(value))
        return check_path_text(value, error) ? g_strdup(value) : NULL;
    /* Not GLib's: it makes a "/" of a working directory that is gone, and that would be another disk. */
    char folder[PATH_MAX];
    if (!getcwd(folder, sizeof folder)) {
        dlk_set_error_errno(error, DLK_ERROR_INVALID_ARGS, errno,
                            "'%s' is relative to a folder that is not there", value);
        return NULL;
    }
    while (g_str_has_prefix(value, "./") && value[2] && value[2] != '/')
        value += 2;
    g_autofree char *path = g_strconcat(folder, g_str_has_suffix(folder, "/") ? "" : "/", value, NULL);
    return check_path_text(path, error) ? g_steal_pointer(&path) : NULL;
}

gboolean
dlk_argument_seconds(const char *name, double seconds, guint32 *milliseconds, GError **error)
{
    /* Written so that a NaN is refused too. */
    if (!(seconds >= 0 && ceil(seconds * 1000) <= G_MAXUINT32)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "%s must be a number of seconds from 0 to %u",
                    name, G_MAXUINT32 / 1000);
        return FALSE;
    }
    *milliseconds = (guint32)ceil(seconds * 1000);
    return TRUE;
}

gboolean
dlk_argument_uid(const char *name, const char *value, guint32 *uid, GError **error)
{
    guint64 number;
    if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
        *uid = (guint32)number;
        return TRUE;
    }
    const struct passwd *user = getpwnam(value);
    if (!user) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "%s: there is no user '%s'", name, value);
        return FALSE;
    }
    *uid = user->pw_uid;
    return TRUE;
}
