#include "json.h"

#include "printable.h"

#include <math.h>
#include <stdio.h>

/*
 * A writer of our own: what the ready-made ones print can act on a terminal (C1 controls pass), and tokens
 * are unsigned and of 64 bits.
 */

static void append_value(GString *out, GVariant *value, DlkJsonStyle style, guint depth);

static void
append_escaped(GString *out, gunichar character)
{
    if (character < 0x10000) {
        g_string_append_printf(out, "\\u%04x", character);
        return;
    }
    const gunichar rest = character - 0x10000;
    g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
}

static void
append_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text; text = g_utf8_next_char(text)) {
        const gunichar character = g_utf8_get_char(text);
        if (character == '"' || character == '\\')
            g_string_append_printf(out, "\\%c", (char)character);
        else if (dlk_character_is_harmless(character))
            g_string_append_unichar(out, character);
        else
            append_escaped(out, character);
    }
    g_string_append_c(out, '"');
}

static void
append_line_end(GString *out, DlkJsonStyle style, guint depth)
{
    if (style != DLK_JSON_PRETTY)
        return;
    g_string_append_c(out, '\n');
    for (guint i = 0; i < depth; i++)
        g_string_append(out, "  ");
}

static void
append_key(GString *out, GVariant *key, DlkJsonStyle style)
{
    if (g_variant_is_of_type(key, G_VARIANT_TYPE_STRING)) {
        append_string(out, g_variant_get_string(key, NULL));
    } else {
        g_autofree char *text = g_variant_print(key, FALSE);
        append_string(out, text);
    }
    g_string_append(out, style == DLK_JSON_PRETTY ? ": " : ":");
}

static void
append_container(GString *out, GVariant *value, DlkJsonStyle style, guint depth)
{
    const gboolean object = g_variant_is_of_type(value, G_VARIANT_TYPE_DICTIONARY);
    const gsize count = g_variant_n_children(value);
    g_string_append_c(out, object ? '{' : '[');
    for (gsize i = 0; i < count; i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(value, i);
        g_string_append(out, i > 0 ? "," : "");
        append_line_end(out, style, depth + 1);
        if (object) {
            g_autoptr(GVariant) key = g_variant_get_child_value(child, 0);
            g_autoptr(GVariant) content = g_variant_get_child_value(child, 1);
            append_key(out, key, style);
            append_value(out, content, style, depth + 1);
        } else {
            append_value(out, child, style, depth + 1);
        }
    }
    if (count > 0)
        append_line_end(out, style, depth);
    g_string_append_c(out, object ? '}' : ']');
}

static void
append_double(GString *out, double number)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    /* JSON has no word for what is no finite number. */
    g_string_append(out, isfinite(number) ? g_ascii_dtostr(text, sizeof text, number) : "null");
}

/* The text form of GVariant's integers is JSON's. */
static void
append_integer(GString *out, GVariant *value)
{
    g_autofree char *text = g_variant_print(value, FALSE);
    g_string_append(out, text);
}

static void
append_value(GString *out, GVariant *value, DlkJsonStyle style, guint depth)
{
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_BOOLEAN:
        g_string_append(out, g_variant_get_boolean(value) ? "true" : "false");
        break;
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE:
        append_string(out, g_variant_get_string(value, NULL));
        break;
    case G_VARIANT_CLASS_DOUBLE:
        append_double(out, g_variant_get_double(value));
        break;
    case G_VARIANT_CLASS_VARIANT: {
        g_autoptr(GVariant) content = g_variant_get_variant(value);
        append_value(out, content, style, depth);
        break;
    }
    case G_VARIANT_CLASS_ARRAY:
    case G_VARIANT_CLASS_TUPLE:
        append_container(out, value, style, depth);
        break;
    case G_VARIANT_CLASS_BYTE:
        g_string_append_printf(out, "%u", g_variant_get_byte(value));
        break;
    default:
        append_integer(out, value);
        break;
    }
}

char *
dlk_json_from_variant(GVariant *value, DlkJsonStyle style)
{
    g_autoptr(GVariant) sunk = g_variant_ref_sink(value);
    GString *out = g_string_new(NULL);
    append_value(out, sunk, style, 0);
    return g_string_free(out, FALSE);
}

void
dlk_json_print(GVariant *value, DlkJsonStyle style)
{
    g_autofree char *text = dlk_json_from_variant(value, style);
    puts(text);
}
