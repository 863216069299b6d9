#include "base/log.h"

#include "base/text.h"

#define MAX_FIELDS 16

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

    for (; fields && fields->name && n < G_N_ELEMENTS(log_fields); fields++) {
        if (fields->value)
            log_fields[n++] = (GLogField){fields->name, fields->value, -1};
    }
    g_log_structured_array(level, log_fields, n);
}
