#include "libvirt-config.h"

#include <string.h>

#define KEY "lock_manager"
#define OURS "disklock"
#define OUR_LINE KEY " = \"" OURS "\""
/* Before a line that ours replaces. */
#define REPLACED "#disklock# "

/* The text behind `lock_manager =` in @line; %NULL where the line says something else. */
static const char *
find_value(const char *line)
{
    line += strspn(line, " \t");
    if (!g_str_has_prefix(line, KEY))
        return NULL;
    line += strlen(KEY);
    line += strspn(line, " \t");
    return *line == '=' ? line + 1 : NULL;
}

/* src/util/virconf.c of libvirt: a string stands in single or double quotes and knows no escapes. */
static char *
unquote(const char *value)
{
    value += strspn(value, " \t");
    if (*value != '"' && *value != '\'')
        return g_strndup(value, strcspn(value, " \t\r#"));
    const char *end = strchr(value + 1, *value);
    return end ? g_strndup(value + 1, (gsize)(end - value - 1)) : g_strdup(value + 1);
}

static gboolean
is_ours(const char *line)
{
    const char *value = find_value(line);
    g_autofree char *name = value ? unquote(value) : NULL;
    return g_strcmp0(name, OURS) == 0;
}

char *
dlk_libvirt_config_get(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    char *name = NULL;
    for (guint i = 0; lines[i]; i++) {
        const char *value = find_value(lines[i]);
        if (!value)
            continue;
        g_free(name);
        name = unquote(value);
    }
    return name;
}

static void
add_line(GString *text, const char *prefix, const char *line, gboolean is_last)
{
    g_string_append(text, prefix);
    g_string_append(text, line);
    if (!is_last)
        g_string_append_c(text, '\n');
}

char *
dlk_libvirt_config_enable(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *result = g_string_new(NULL);
    gboolean is_set = FALSE;
    for (guint i = 0; lines[i]; i++) {
        const gboolean sets = find_value(lines[i]) != NULL;
        const gboolean keep = !sets || (is_ours(lines[i]) && !is_set);
        if (sets && !keep && !is_set)
            g_string_append(result, OUR_LINE "\n");
        add_line(result, keep ? "" : REPLACED, lines[i], !lines[i + 1]);
        is_set = is_set || sets;
    }
    if (is_set)
        return g_string_free(result, FALSE);
    if (result->len > 0 && result->str[result->len - 1] != '\n')
        g_string_append_c(result, '\n');
    g_string_append(result, OUR_LINE "\n");
    return g_string_free(result, FALSE);
}

char *
dlk_libvirt_config_disable(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *result = g_string_new(NULL);
    for (guint i = 0; lines[i]; i++) {
        const gboolean is_replaced = g_str_has_prefix(lines[i], REPLACED);
        if (!is_ours(lines[i]))
            add_line(result, "", lines[i] + (is_replaced ? strlen(REPLACED) : 0), !lines[i + 1]);
    }
    return g_string_free(result, FALSE);
}
