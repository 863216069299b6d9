#pragma once

#include <glib.h>

/*
 * By which key this host registers for reservations: see model/pr-key.h. Its generation is kept in a file
 * that outlives a boot, "reservation-generation", and is another one after each boot and each fencing.
 * Any thread.
 */

/** The folder for the file; made when it is needed. */
void dlk_host_key_set_folder(const char *folder);
/** The HostId of this host. Keys that are registered stay what they are. */
void dlk_host_key_set_host(const char *host_id);
/** The HostId that @key was made for, if it is this host's; else %NULL. Transfer full. */
GRefString *dlk_host_key_owner(guint64 key);
/** The key of this life of the host. DLK_ERROR_BACKEND_FAILED: the file cannot be read or written. */
gboolean dlk_host_key_get(gboolean alone, guint64 *key, GError **error);
/** The host was fenced by @key: if that is of this life, another one begins. */
void dlk_host_key_fenced(guint64 key);
