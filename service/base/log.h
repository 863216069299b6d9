#pragma once

#include <glib.h>

/*
 * The journal's fields: every event that an administrator may look for has a MESSAGE_ID of its own.
 * Text goes to the journal where stderr is connected to it and to stderr elsewhere (g_log_writer_default()).
 */
#define DLK_MESSAGE_ACQUIRED "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e01"
#define DLK_MESSAGE_RELEASED "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e02"
#define DLK_MESSAGE_REFUSED "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e03"
#define DLK_MESSAGE_AT_RISK "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e04"
#define DLK_MESSAGE_RESTORED "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e05"
#define DLK_MESSAGE_BROKEN "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e06"
#define DLK_MESSAGE_POLICY "5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e07"

/**
 * dlk_log_init: from now on INFO entries reach the journal too; GLib's own writer drops them. Elsewhere (a
 * terminal, a file) it is GLib's writer that decides: G_MESSAGES_DEBUG=disklock shows them.
 */
void dlk_log_init(void);

/** FALSE: an entry of @level would be dropped, and who has to put much together for it need not. */
gboolean dlk_log_is_heard(GLogLevelFlags level);

/** DlkLogField: one journal field, "DISKLOCK_LEASE" and its value; a %NULL value leaves the field out. */
typedef struct {
    const char *name;
    const char *value;
} DlkLogField;

/**
 * dlk_log_event: one journal entry. @message_id: one of the above. @fields: ended by a %NULL name.
 * @text: what people read; made printable, because parts of it come from outside.
 */
void dlk_log_event(GLogLevelFlags level, const char *message_id, const DlkLogField *fields, const char *text);
