#pragma once

#include <glib.h>

/*
 * The way to systemd-journald, in its native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). GLib's
 * and libsystemd's own ways wait for a journald that has stopped reading, and with them would the main
 * thread.
 */

/**
 * dlk_journal_socket_send: one entry. A journald that is busy is waited for, one that hangs is not: then the
 * entry is lost, and counted. FALSE: there is no journald, or the entry is too large for this way. Any
 * thread.
 */
gboolean dlk_journal_socket_send(const GLogField *fields, gsize n_fields);
/** How many entries were lost, where that has not been asked since one arrived again; else 0. */
guint dlk_journal_socket_take_lost(void);
