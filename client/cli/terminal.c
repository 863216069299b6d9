#include "terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define NARROWEST 40

guint
dlk_terminal_width(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return G_MAXUINT;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return MAX(size.ws_col, NARROWEST);
}

static gboolean
shows_colours(void)
{
    const char *no_color = g_getenv("NO_COLOR");
    const char *term = g_getenv("TERM");
    return isatty(STDOUT_FILENO) && (!no_color || !*no_color) && term && g_strcmp0(term, "dumb") != 0;
}

const char *
dlk_terminal_colour(DlkColour colour)
{
    static const char *const sequences[] = {
        [DLK_COLOUR_NONE] = "",
        [DLK_COLOUR_HEADING] = "\033[1m",
        [DLK_COLOUR_FAINT] = "\033[2m",
        [DLK_COLOUR_WARNING] = "\033[33m",
        [DLK_COLOUR_ALARM] = "\033[1;31m",
    };
    return shows_colours() ? sequences[colour] : "";
}

const char *
dlk_terminal_plain(void)
{
    return shows_colours() ? "\033[0m" : "";
}

DlkColour
dlk_terminal_state_colour(const char *state)
{
    if (g_str_equal(state, "broken"))
        return DLK_COLOUR_ALARM;
    if (g_str_equal(state, "at-risk") || g_str_equal(state, "in-use") || g_str_equal(state, "unknown"))
        return DLK_COLOUR_WARNING;
    return g_str_equal(state, "suspended") ? DLK_COLOUR_FAINT : DLK_COLOUR_NONE;
}
