#pragma once

#include <glib.h>

/**
 * dlk_character_is_harmless: shown in its place and in its line by the user's terminal, and nothing else?
 * No: control characters (C1 too), what reorders or hides text (bidirectional and other format characters),
 * line separators, private and unassigned ones; and outside a UTF-8 locale whatever is not ASCII.
 */
gboolean dlk_character_is_harmless(gunichar character);

/**
 * dlk_printable: @text from outside as one harmless line: a character that is not harmless becomes \u{XXXX},
 * a byte that is no UTF-8 \xNN. Free with g_free().
 */
char *dlk_printable(const char *text);

/** dlk_width: the columns that printable @text takes on a terminal. */
guint dlk_width(const char *text);

/** dlk_shorten: @text with its middle cut out, so that it takes @columns at most. Free with g_free(). */
char *dlk_shorten(const char *text, guint columns);
