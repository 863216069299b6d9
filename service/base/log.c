#include "base/log.h"

#include "base/text.h"

#include <unistd.h>

#define MAX_FIELDS 16

/* GLib's own writer, which drops some entries, has the last word. */
static gboolean may_drop;

static GLogWriterOutput
write_entry(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    gboolean journal = GPOINTER_TO_INT(user_data);

    if (journal && !(level & G_LOG_LEVEL_DEBUG) &&
        g_log_writer_journald(level, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED)
        return G_LOG_WRITER_HANDLED;
    return g_log_writer_default(level, fields, n_fields, NULL);
}

void
dlk_log_init(void)
{
    gboolean journal = g_log_writer_is_journald(STDERR_FILENO);

    may_drop = !journal;
    g_log_set_writer_func(write_entry, GINT_TO_POINTER(journal), NULL);
}

gboolean
dlk_log_is_heard(GLogLevelFlags level)
{
    return !may_drop || !g_log_writer_default_would_drop(level, G_LOG_DOMAIN);
}

void
dlk_log_event(GLogLevelFlags level, const char *message_id, const DlkLogField *fields, const char *text)
{
    g_autofree char *message = dlk_text_printable(text, 0);
    GLogField log_fields[MAX_FIELDS + 4] = {
        {"PRIORITY",
         level & G_LOG_LEVEL_WARNING   ? "4"
         : level & G_LOG_LEVEL_MESSAGE ? "5"
                                       : "6",
         -1},
        {"GLIB_DOMAIN", G_LOG_DOMAIN, -1},
        {"MESSAGE_ID", message_id, -1},
        {"MESSAGE", message, -1},
    };
    gsize n = 4;

    for (; fields && fields->name && n < G_N_ELEMENTS(log_fields); fields++)
        if (fields->value)
            log_fields[n++] = (GLogField){fields->name, fields->value, -1};
    g_log_structured_array(level, log_fields, n);
}
