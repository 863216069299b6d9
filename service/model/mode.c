#include "model/mode.h"

#include "base/error.h"
#include "base/text.h"

static const char *const names[DLK_N_MODES] = {"exclusive", "shared", "read-only"};
static const char *const adverbs[DLK_N_MODES] = {"exclusively", "shared", "read-only"};

gboolean
dlk_mode_from_string(const char *text, DlkMode *mode, GError **error)
{
    for (guint i = 0; i < DLK_N_MODES; i++) {
        if (g_str_equal(text, names[i])) {
            *mode = i;
            return TRUE;
        }
    }

    g_autofree char *printable = dlk_text_printable(text, 32);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "mode is \"%s\"; it must be exclusive, shared or read-only", printable);
    return FALSE;
}

const char *
dlk_mode_to_string(DlkMode mode)
{
    return names[mode];
}

const char *
dlk_mode_adverb(DlkMode mode)
{
    return adverbs[mode];
}

gboolean
dlk_mode_writes(DlkMode mode)
{
    return mode != DLK_MODE_READ_ONLY;
}

gboolean
dlk_mode_conflicts(DlkMode a, DlkMode b, gboolean strict)
{
    if (a == DLK_MODE_EXCLUSIVE || b == DLK_MODE_EXCLUSIVE)
        return TRUE;
    return strict && a != b;
}
