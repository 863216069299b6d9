#include "model/holder-record.h"

#include "base/text.h"

#include <string.h>

#define MAGIC "disklock-holder 1 "
#define SUM " sum="
#define SUM_LENGTH 16
/* Bytes of a value before it is escaped: with every byte of each written %NN they fit in a line. */
#define MAX_VALUE 64

/* The same in every version: a record may be read by a service older than its writer. */
static void
append_sum(GString *line)
{
    g_autofree char *sum =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)line->str, line->len);
    g_string_append_printf(line, SUM "%.*s", SUM_LENGTH, sum);
}

static void
append_text(GString *line, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    g_autofree char *clean = dlk_text_printable(value, MAX_VALUE);
    g_autofree char *escaped = g_uri_escape_string(clean, NULL, TRUE);
    g_string_append_printf(line, " %s=%s", key, escaped);
}

char *
dlk_holder_record_format(const DlkHolder *holder, DlkMode mode, guint64 key)
{
    char lease[DLK_LEASE_ID_LENGTH + 1];
    GString *line = g_string_new(MAGIC);
    dlk_lease_id_format(&holder->lease, lease);
    g_string_truncate(line, line->len - 1);
    append_text(line, "host", holder->host);
    append_text(line, "name", holder->host_name);
    append_text(line, "owner", holder->owner);
    append_text(line, "uuid", holder->owner_uuid);
    g_string_append_printf(line, " lease=%s mode=%s since=%" G_GINT64_FORMAT " uid=%u pid=%d", lease,
                           dlk_mode_to_string(mode), holder->since, holder->uid, (int)holder->pid);
    if (key != 0)
        g_string_append_printf(line, " key=%016" G_GINT64_MODIFIER "x", key);
    append_sum(line);
    g_string_append_c(line, '\n');
    g_assert(line->len <= DLK_HOLDER_RECORD_MAX);
    return g_string_free(line, FALSE);
}

/* The words between the magic one and the sum, or %NULL. */
static char *
whole_words(const char *text, gsize length)
{
    const gsize magic = strlen(MAGIC), end = strlen(SUM) + SUM_LENGTH + 1;
    if (length > DLK_HOLDER_RECORD_MAX || length < magic + end || memchr(text, '\0', length) != NULL ||
        memcmp(text, MAGIC, magic) != 0 || text[length - 1] != '\n')
        return NULL;
    g_autoptr(GString) line = g_string_new_len(text, (gssize)(length - end));
    append_sum(line);
    if (memcmp(line->str, text, length - 1) != 0)
        return NULL;
    return g_strndup(text + magic, length - end - magic);
}

static gboolean
read_text(const char *value, GRefString **text)
{
    g_autofree char *plain = g_uri_unescape_string(value, NULL);
    /* The sign for what was cut is three bytes more. */
    if (*text != NULL || plain == NULL || plain[0] == '\0' || strlen(plain) > MAX_VALUE + 3 ||
        !dlk_text_is_clean(plain))
        return FALSE;
    *text = g_ref_string_new(plain);
    return TRUE;
}

static gboolean
read_number(const char *value, guint base, guint64 most, guint64 *number)
{
    return g_ascii_string_to_unsigned(value, base, 0, most, number, NULL);
}

static gboolean
read_word(DlkHolder *holder, const char *key, const char *value)
{
    guint64 number = 0;
    gboolean good = TRUE;
    if (g_str_equal(key, "host"))
        good = read_text(value, &holder->host);
    else if (g_str_equal(key, "name"))
        good = read_text(value, &holder->host_name);
    else if (g_str_equal(key, "owner"))
        good = read_text(value, &holder->owner);
    else if (g_str_equal(key, "uuid"))
        good = read_text(value, &holder->owner_uuid);
    else if (g_str_equal(key, "lease"))
        good = dlk_lease_id_parse(value, &holder->lease);
    else if (g_str_equal(key, "mode"))
        good = dlk_mode_from_string(value, &holder->mode, NULL);
    else if (g_str_equal(key, "since") && (good = read_number(value, 10, G_MAXINT64, &number)))
        holder->since = (gint64)number;
    else if (g_str_equal(key, "uid") && (good = read_number(value, 10, G_MAXUINT32, &number)))
        holder->uid = (uid_t)number;
    else if (g_str_equal(key, "pid") && (good = read_number(value, 10, G_MAXINT32, &number)))
        holder->pid = (pid_t)number;
    else if (g_str_equal(key, "key") && (good = read_number(value, 16, G_MAXUINT64, &number)))
        holder->key = number;
    return good;
}

DlkHolder *
dlk_holder_record_parse(const char *text, gsize length)
{
    g_autofree char *all = whole_words(text, length);
    g_auto(GStrv) words = all != NULL ? g_strsplit(all, " ", -1) : NULL;
    g_autoptr(DlkHolder) holder = dlk_holder_new(DLK_MODE_EXCLUSIVE);
    gboolean has_mode = FALSE;
    for (guint i = 0; words != NULL && words[i] != NULL; i++) {
        char *value = strchr(words[i], '=');
        if (value == NULL)
            return NULL;
        *value++ = '\0';
        if (!read_word(holder, words[i], value))
            return NULL;
        has_mode = has_mode || g_str_equal(words[i], "mode");
    }
    return holder->host != NULL && has_mode ? g_steal_pointer(&holder) : NULL;
}
