#include "model/policy-value.h"

#include "base/text.h"
#include "model/policy-text.h"

#include <string.h>

#define DIGITS "0123456789"

char *
dlk_policy_wrong(const DlkPolicyValue *value, const char *text)
{
    g_autofree char *shown = dlk_text_printable(text, DLK_POLICY_SHOWN_BYTES);
    return g_strdup_printf("%s= must be %s, not \"%s\"", value->name, value->expects, shown);
}

static char *
wrong_escape(const DlkPolicyValue *value)
{
    g_autofree char *raw = g_key_file_get_value(value->file, DLK_POLICY_GROUP, value->name, NULL);
    g_autofree char *shown = dlk_text_printable(raw, DLK_POLICY_SHOWN_BYTES);
    return g_strdup_printf("%s= must write a backslash twice, as in \"\\\\\", not \"%s\"", value->name,
                           shown);
}

/* The value with its escapes undone, or %NULL with @reason. */
static char *
get_text(const DlkPolicyValue *value, char **reason)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_key_file_get_string(value->file, DLK_POLICY_GROUP, value->name, &error);
    if (error) {
        *reason = wrong_escape(value);
        return NULL;
    }
    if (!*text || !dlk_text_is_clean(text)) {
        *reason = dlk_policy_wrong(value, text);
        return NULL;
    }
    return g_steal_pointer(&text);
}

/* The items of the value, at least one and none empty, or %NULL with @reason. */
static char **
get_list(const DlkPolicyValue *value, char **reason)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) items =
        g_key_file_get_string_list(value->file, DLK_POLICY_GROUP, value->name, NULL, &error);
    if (error) {
        *reason = wrong_escape(value);
        return NULL;
    }
    for (guint i = 0; items[i]; i++) {
        g_strstrip(items[i]);
        if (!*items[i] || !dlk_text_is_clean(items[i])) {
            *reason = dlk_policy_wrong(value, items[i]);
            return NULL;
        }
    }
    if (!items[0]) {
        *reason = dlk_policy_wrong(value, "");
        return NULL;
    }
    return g_steal_pointer(&items);
}

char *
dlk_policy_read_text(const DlkPolicyValue *value, gpointer field)
{
    char *reason = NULL;
    g_autofree char *text = get_text(value, &reason);
    if (!text)
        return reason;
    reason = value->check(value, text);
    if (!reason) {
        g_free(*(char **)field);
        *(char **)field = g_steal_pointer(&text);
    }
    return reason;
}

char *
dlk_policy_read_texts(const DlkPolicyValue *value, gpointer field)
{
    char *reason = NULL;
    g_auto(GStrv) items = get_list(value, &reason);
    for (guint i = 0; items && items[i] && !reason; i++)
        reason = value->check(value, items[i]);
    if (!reason) {
        g_strfreev(*(char ***)field);
        *(char ***)field = g_steal_pointer(&items);
    }
    return reason;
}

static gboolean
find_word(const DlkPolicyValue *value, const char *text, guint *number)
{
    for (guint i = 0; value->word(i); i++) {
        if (g_str_equal(value->word(i), text)) {
            *number = i;
            return TRUE;
        }
    }
    return FALSE;
}

char *
dlk_policy_read_word(const DlkPolicyValue *value, gpointer field)
{
    char *reason = NULL;
    g_autofree char *text = get_text(value, &reason);
    if (!text || find_word(value, text, field))
        return reason;
    return dlk_policy_wrong(value, text);
}

char *
dlk_policy_read_words(const DlkPolicyValue *value, gpointer field)
{
    char *reason = NULL;
    guint bits = 0;
    g_auto(GStrv) items = get_list(value, &reason);
    for (guint i = 0; items && items[i]; i++) {
        guint number;
        if (!find_word(value, items[i], &number))
            return dlk_policy_wrong(value, items[i]);
        bits |= 1u << number;
    }
    if (!reason)
        *(guint *)field = bits;
    return reason;
}

char *
dlk_policy_read_seconds(const DlkPolicyValue *value, gpointer field)
{
    char *reason = NULL;
    g_autofree char *text = get_text(value, &reason);
    if (!text)
        return reason;
    char *end;
    const double seconds = g_ascii_strtod(text, &end);
    /* strtod() itself would take "inf", "1e3" and "0x10" too. */
    if (strspn(text, DIGITS ".") != strlen(text) || *end || seconds < DLK_POLICY_MIN_SECONDS ||
        seconds > DLK_POLICY_MAX_SECONDS)
        return dlk_policy_wrong(value, text);
    *(gint64 *)field = (gint64)(seconds * G_USEC_PER_SEC + 0.5);
    return NULL;
}

char *
dlk_policy_read_count(const DlkPolicyValue *value, gpointer field)
{
    char *reason = NULL;
    guint64 count;
    g_autofree char *text = get_text(value, &reason);
    if (!text)
        return reason;
    if (!g_ascii_string_to_unsigned(text, 10, value->least, value->most, &count, NULL))
        return dlk_policy_wrong(value, text);
    *(guint *)field = (guint)count;
    return NULL;
}

char *
dlk_policy_read_boolean(const DlkPolicyValue *value, gpointer field)
{
    g_autoptr(GError) error = NULL;
    const gboolean answer = g_key_file_get_boolean(value->file, DLK_POLICY_GROUP, value->name, &error);
    if (error) {
        g_autofree char *raw = g_key_file_get_value(value->file, DLK_POLICY_GROUP, value->name, NULL);
        return dlk_policy_wrong(value, raw);
    }
    *(gboolean *)field = answer;
    return NULL;
}
