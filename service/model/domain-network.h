#pragma once

#include <glib.h>
#include <libxml/tree.h>

/**
 * dlk_domain_network: the URI (DlkNetworkName) of a network disk's <source>, in *@uri; %NULL where the source
 * names no protocol, and so nothing. Errors name @element.
 */
gboolean dlk_domain_network(const xmlNode *source, const char *element, char **uri, GError **error);
