#include "model/on-break.h"

#include "base/error.h"
#include "base/text.h"

static const char *const names[DLK_N_ON_BREAKS] = {
    [DLK_ON_BREAK_SIGNAL] = "signal", [DLK_ON_BREAK_PAUSE] = "pause", [DLK_ON_BREAK_TERMINATE] = "terminate",
    [DLK_ON_BREAK_KILL] = "kill",     [DLK_ON_BREAK_EXEC] = "exec",
};

gboolean
dlk_on_break_from_string(const char *text, DlkOnBreak *on_break, GError **error)
{
    for (guint i = 0; i < DLK_N_ON_BREAKS; i++) {
        if (g_str_equal(text, names[i])) {
            *on_break = i;
            return TRUE;
        }
    }

    g_autofree char *printable = dlk_text_printable(text, 32);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "on-break is \"%s\"; it must be signal, pause, terminate, kill or exec", printable);
    return FALSE;
}

const char *
dlk_on_break_to_string(DlkOnBreak on_break)
{
    g_return_val_if_fail(on_break < DLK_N_ON_BREAKS, "");
    return names[on_break];
}
