#include "base/text.h"

#include <string.h>

#define ELLIPSIS "…"
/* So many texts are known again. */
#define SHARED 16

/* Would this character act on a terminal or a log instead of being shown in its line? */
static gboolean
breaks_the_line(gunichar character)
{
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 ||
           character == 0x2029;
}

/* The bytes of the clean character that @text begins with; 0 where it begins with anything else. */
static gsize
clean_character(const char *text, gsize length)
{
    const gunichar character = g_utf8_get_char_validated(text, (gssize)length);
    if (character == (gunichar)-1 || character == (gunichar)-2 || breaks_the_line(character))
        return 0;
    return (gsize)g_unichar_to_utf8(character, NULL);
}

/* The bytes of printable ASCII that @text begins with: of most texts all. */
static gsize
plain_length(const char *text)
{
    gsize length = 0;

    while (text[length] >= ' ' && text[length] <= '~')
        length++;
    return length;
}

gboolean
dlk_text_is_clean(const char *text)
{
    text += plain_length(text);

    gsize left = strlen(text);
    while (left > 0) {
        const gsize size = clean_character(text, left);
        if (size == 0)
            return FALSE;
        text += size;
        left -= size;
    }
    return TRUE;
}

char *
dlk_text_printable(const char *text, gsize max_bytes)
{
    const gsize plain = plain_length(text);
    if (text[plain] == '\0' && (max_bytes == 0 || plain <= max_bytes))
        return g_strndup(text, plain);

    GString *line = g_string_new(NULL);
    gsize left = strlen(text);
    gsize cut = 0; /* where the line can end and still leave room for the ellipsis */
    while (left > 0) {
        const gsize size = clean_character(text, left);
        if (size > 0)
            g_string_append_len(line, text, (gssize)size);
        else
            g_string_append_printf(line, "\\x%02x", (guint8)*text);
        if (max_bytes > 0 && line->len > max_bytes) {
            g_string_truncate(line, cut);
            g_string_append_printf(line, "%s", ELLIPSIS);
            break;
        }
        if (line->len + strlen(ELLIPSIS) <= max_bytes)
            cut = line->len;
        text += MAX(size, 1);
        left -= MAX(size, 1);
    }
    return g_string_free(line, FALSE);
}

char *
dlk_text_time(gint64 realtime_us)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(realtime_us / G_USEC_PER_SEC);
    if (!time)
        return g_strdup_printf("%" G_GINT64_FORMAT " s", realtime_us / G_USEC_PER_SEC);
    return g_date_time_format(time, "%Y-%m-%d %H:%M:%S");
}

/*
 * Not g_ref_string_new_intern(): in GLib 2.74 it may find a string whose last reference another
 * thread is giving up. A reference of one's own keeps that from happening.
 */
GRefString *
dlk_text_share(const char *text)
{
    static GMutex mutex;
    static GRefString *known[SHARED];
    static guint next;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&mutex);

    for (guint i = 0; i < SHARED; i++)
        if (known[i] != NULL && g_str_equal(known[i], text))
            return g_ref_string_acquire(known[i]);
    g_clear_pointer(&known[next], g_ref_string_release);
    known[next] = g_ref_string_new(text);
    GRefString *shared = g_ref_string_acquire(known[next]);
    next = (next + 1) % SHARED;
    return shared;
}
