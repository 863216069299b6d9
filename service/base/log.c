#include "base/log.h"

#include "base/journal-socket.h"
#include "base/text.h"

#include <unistd.h>

/* GLib's own writer, which drops some entries, has the last word. */
static gboolean may_drop;

/* As in syslog(3). */
static const char *
priority(GLogLevelFlags level)
{
    return level & G_LOG_LEVEL_WARNING ? "4" : level & G_LOG_LEVEL_MESSAGE ? "5" : "6";
}

static void
tell_of_lost_entries(void)
{
    const guint lost = dlk_journal_socket_take_lost();
    g_autofree char *text = g_strdup_printf("journald did not read for a while: %u entries were lost", lost);
    const GLogField fields[] = {
        {"PRIORITY", priority(dlk_event_level(DLK_EVENT_ENTRIES_LOST)), -1},
        {"GLIB_DOMAIN", G_LOG_DOMAIN, -1},
        {"MESSAGE_ID", dlk_event_message_id(DLK_EVENT_ENTRIES_LOST), -1},
        {"MESSAGE", text, -1},
    };

    if (lost > 0)
        dlk_journal_socket_send(fields, G_N_ELEMENTS(fields));
}

static GLogWriterOutput
write_entry(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    gboolean journal = GPOINTER_TO_INT(user_data);

    if (journal && !(level & G_LOG_LEVEL_DEBUG)) {
        /* The second waits as long as it takes: it is for what no way is known for. */
        if (dlk_journal_socket_send(fields, n_fields)) {
            tell_of_lost_entries();
            return G_LOG_WRITER_HANDLED;
        }
        if (g_log_writer_journald(level, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED)
            return G_LOG_WRITER_HANDLED;
    }
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
dlk_log_is_heard(DlkEvent event)
{
    return !may_drop || !g_log_writer_default_would_drop(dlk_event_level(event), G_LOG_DOMAIN);
}

void
dlk_log_event(DlkEvent event, const DlkLogField *fields, const char *text)
{
    g_autofree char *message = dlk_text_printable(text, 0);
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(GLogField));
    const GLogField always[] = {
        {"PRIORITY", priority(dlk_event_level(event)), -1},
        {"GLIB_DOMAIN", G_LOG_DOMAIN, -1},
        {"MESSAGE_ID", dlk_event_message_id(event), -1},
        {"MESSAGE", message, -1},
    };

    g_array_append_vals(all, always, G_N_ELEMENTS(always));
    for (; fields && fields->name; fields++) {
        const GLogField field = {fields->name, fields->value, -1};

        if (fields->value)
            g_array_append_val(all, field);
    }
    g_log_structured_array(dlk_event_level(event), (GLogField *)(void *)all->data, all->len);
}
