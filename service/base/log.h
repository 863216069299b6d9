#pragma once

#include "base/event.h"

/*
 * Text goes to the journal where stderr is connected to it and to stderr elsewhere (g_log_writer_default()).
 */

/**
 * dlk_log_init: from now on INFO entries reach the journal too; GLib's own writer drops them. Elsewhere (a
 * terminal, a file) it is GLib's writer that decides: G_MESSAGES_DEBUG=disklock shows them.
 */
void dlk_log_init(void);

/** FALSE: @event would be dropped, and who has to put much together for it need not. */
gboolean dlk_log_is_heard(DlkEvent event);

/** DlkLogField: one journal field, "DISKLOCK_LEASE" and its value; a %NULL value leaves the field out. */
typedef struct {
    const char *name;
    const char *value;
} DlkLogField;

/**
 * dlk_log_event: one journal entry. @fields: ended by a %NULL name; one may come several times; or %NULL.
 * @text: what people read; made printable, because parts of it come from outside.
 */
void dlk_log_event(DlkEvent event, const DlkLogField *fields, const char *text);
