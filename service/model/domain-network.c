#include "model/domain-network.h"

#include "model/domain-xml.h"
#include "model/network-name.h"

static gboolean
add_host(const xmlNode *host, DlkNetworkName *network, GError **error)
{
    g_autofree char *name = dlk_domain_xml_attribute(host, "name");
    g_autofree char *port = dlk_domain_xml_attribute(host, "port");
    g_autofree char *socket = dlk_domain_xml_attribute(host, "socket");
    if (dlk_domain_xml_attribute_is(host, "transport", "unix"))
        return dlk_network_name_set_socket(network, socket ? socket : "", error);
    return dlk_network_name_add_host(network, name ? name : "", port, error);
}

static char *
uri_of(const xmlNode *source, const char *protocol, GError **error)
{
    g_autofree char *name = dlk_domain_xml_attribute(source, "name");
    g_autofree char *query = dlk_domain_xml_attribute(source, "query");
    g_autoptr(DlkNetworkName) network = dlk_network_name_new(protocol, error);
    if (!network)
        return NULL;
    for (const xmlNode *node = source->children; node; node = node->next)
        if (dlk_domain_xml_is(node, "host") && !add_host(node, network, error))
            return NULL;
    return dlk_network_name_to_uri(network, name, query, error);
}

gboolean
dlk_domain_network(const xmlNode *source, const char *element, char **uri, GError **error)
{
    g_autofree char *protocol = dlk_domain_xml_attribute(source, "protocol");
    g_autoptr(GError) reason = NULL;
    *uri = protocol ? uri_of(source, protocol, &reason) : NULL;
    return !reason || dlk_domain_xml_fail(error, source, element, "%s", reason->message);
}
