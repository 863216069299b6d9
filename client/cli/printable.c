#include "printable.h"

#include <string.h>

gboolean
dlk_character_is_harmless(gunichar character)
{
    if (character < 0x80)
        return character >= 0x20 && character != 0x7f;
    if (!g_get_charset(NULL))
        return FALSE;
    switch (g_unichar_type(character)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_UNASSIGNED:
        return FALSE;
    default:
        return TRUE;
    }
}

char *
dlk_printable(const char *text)
{
    GString *line = g_string_new(NULL);
    const char *end = text + strlen(text);
    while (text < end) {
        const gunichar character = g_utf8_get_char_validated(text, end - text);
        if (character == (gunichar)-1 || character == (gunichar)-2) {
            g_string_append_printf(line, "\\x%02x", (guint8)*text);
            text++;
            continue;
        }
        if (dlk_character_is_harmless(character))
            g_string_append_unichar(line, character);
        else
            g_string_append_printf(line, "\\u{%04x}", character);
        text = g_utf8_next_char(text);
    }
    return g_string_free(line, FALSE);
}

static guint
character_width(gunichar character)
{
    if (g_unichar_iszerowidth(character))
        return 0;
    return g_unichar_iswide(character) ? 2 : 1;
}

guint
dlk_width(const char *text)
{
    guint width = 0;
    for (; *text; text = g_utf8_next_char(text))
        width += character_width(g_utf8_get_char(text));
    return width;
}

/* The end of the longest beginning of @text that takes @columns at most. */
static const char *
skip_columns(const char *text, guint columns)
{
    guint width = 0;
    for (; *text; text = g_utf8_next_char(text)) {
        width += character_width(g_utf8_get_char(text));
        if (width > columns)
            break;
    }
    return text;
}

char *
dlk_shorten(const char *text, guint columns)
{
    if (dlk_width(text) <= columns)
        return g_strdup(text);
    const char *ellipsis = g_get_charset(NULL) ? "…" : "~";
    const guint room = MAX(columns, 1) - 1;
    /* The end of a path tells more than its beginning. */
    const char *head_end = skip_columns(text, room / 3);
    const char *tail = head_end;
    while (*tail && dlk_width(tail) > room - room / 3)
        tail = g_utf8_next_char(tail);
    return g_strdup_printf("%.*s%s%s", (int)(head_end - text), text, ellipsis, tail);
}
