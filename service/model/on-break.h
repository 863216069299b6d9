#pragma once

#include <glib.h>

/** DlkOnBreak: what is done to the lease's process when the lease breaks. */
typedef enum {
    DLK_ON_BREAK_SIGNAL,    /* the D-Bus signal alone */
    DLK_ON_BREAK_PAUSE,     /* SIGSTOP */
    DLK_ON_BREAK_TERMINATE, /* SIGTERM, then as kill after the rule's grace */
    DLK_ON_BREAK_KILL,      /* SIGKILL, when nothing of it is under way */
    DLK_ON_BREAK_EXEC,      /* the program that the rule names */
    DLK_N_ON_BREAKS
} DlkOnBreak;

gboolean dlk_on_break_from_string(const char *text, DlkOnBreak *on_break, GError **error);
const char *dlk_on_break_to_string(DlkOnBreak on_break);
