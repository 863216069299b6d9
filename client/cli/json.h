#pragma once

#include <glib.h>

typedef enum {
    DLK_JSON_OFF,
    DLK_JSON_SHORT,  /* one line */
    DLK_JSON_PRETTY, /* indented */
} DlkJsonStyle;

/**
 * dlk_json_from_variant: @value as JSON, without an end of line. Dictionaries become objects, arrays and
 * tuples arrays, variants what they hold, integers exact numbers of up to 64 bits. Characters that could act
 * on a terminal are written as \uXXXX. Sinks a floating @value. Free with g_free().
 */
char *dlk_json_from_variant(GVariant *value, DlkJsonStyle style);

/** dlk_json_print: writes @value to stdout in @style, with an end of line. Sinks a floating @value. */
void dlk_json_print(GVariant *value, DlkJsonStyle style);
