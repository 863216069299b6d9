#pragma once

#include <glib.h>

/** dlk_text_is_clean: valid UTF-8 without control characters (C0, DEL, C1) and without line separators. */
gboolean dlk_text_is_clean(const char *text);

/**
 * dlk_text_printable: @text as one harmless line: every byte that is not clean UTF-8 becomes \xNN, and what
 * is longer than @max_bytes (0: no bound) is cut with "…". Free with g_free().
 */
char *dlk_text_printable(const char *text, gsize max_bytes);

/** dlk_text_time: CLOCK_REALTIME microseconds as local "2026-11-23 14:10:05". Free with g_free(). */
char *dlk_text_time(gint64 realtime_us);

/**
 * dlk_text_share: @text as a reference to what others may have, too: for texts of which many objects have one
 * of a few. Any thread. Release with g_ref_string_release().
 */
GRefString *dlk_text_share(const char *text);
