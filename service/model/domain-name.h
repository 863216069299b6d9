#pragma once

#include <glib.h>

/**
 * dlk_domain_name_read: what the domain is called that @xml (@length bytes, UTF-8) describes: its <name> and
 * its <uuid>, as they are written there; %NULL in *@uuid where it has none. Free both with g_free(). Nothing
 * else of the document is looked at. DLK_ERROR_INVALID_ARGS, "line N: domain XML: REASON".
 */
gboolean dlk_domain_name_read(const char *xml, gsize length, char **name, char **uuid, GError **error);
