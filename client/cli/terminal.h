#pragma once

#include <glib.h>

typedef enum {
    DLK_COLOUR_NONE,
    DLK_COLOUR_HEADING,
    DLK_COLOUR_FAINT,
    DLK_COLOUR_WARNING,
    DLK_COLOUR_ALARM,
} DlkColour;

/** dlk_terminal_width: columns of the terminal behind stdout; G_MAXUINT: it is none, lines may be as long as
 * they are. */
guint dlk_terminal_width(void);

/**
 * dlk_terminal_colour: the escape sequence that begins @colour on stdout, dlk_terminal_plain() the one that
 * ends it; static. Both are "" where stdout is no terminal, where TERM says that it knows no colours, and
 * under NO_COLOR.
 */
const char *dlk_terminal_colour(DlkColour colour);
const char *dlk_terminal_plain(void);

/** dlk_terminal_state_colour: how a lease in @state ("at-risk") or a disk ("in-use") is shown. */
DlkColour dlk_terminal_state_colour(const char *state);
