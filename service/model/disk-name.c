#include "model/disk-name.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>

#define MESSAGE_BYTES 200

gboolean
dlk_disk_name_check_path(const char *path, GError **error)
{
    g_autofree char *shown = dlk_text_printable(path, MESSAGE_BYTES);
    if (strlen(path) > DLK_DISK_NAME_BYTES) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "its path has more than %d bytes",
                    DLK_DISK_NAME_BYTES);
        return FALSE;
    }
    if (!dlk_text_is_clean(path)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "control characters in the path %s", shown);
        return FALSE;
    }
    if (path[0] != '/') {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the path “%s” is not absolute", shown);
        return FALSE;
    }
    return TRUE;
}

char *
dlk_disk_name_collapse(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    GString *collapsed = g_string_new(NULL);
    for (char **part = parts; *part; part++)
        if (**part && !g_str_equal(*part, "."))
            g_string_append_printf(collapsed, "/%s", *part);
    if (collapsed->len == 0)
        g_string_append_c(collapsed, '/');
    return g_string_free(collapsed, FALSE);
}

char *
dlk_disk_name_escape(const char *text)
{
    return g_uri_escape_string(text, "/:@!$'()*+,;=", FALSE);
}

char *
dlk_disk_name_path_uri(const char *scheme, const char *path)
{
    g_autofree char *collapsed = dlk_disk_name_collapse(path);
    g_autofree char *escaped = dlk_disk_name_escape(collapsed);
    return g_strdup_printf("%s://%s", scheme, escaped);
}

gboolean
dlk_disk_name_has_protocol(const char *name)
{
    return name[strcspn(name, ":/")] == ':';
}
