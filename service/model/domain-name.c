#include "model/domain-name.h"

#include "base/text.h"
#include "model/domain-xml.h"

#define ELEMENT "domain XML"

static gboolean
read_text(const xmlNode *root, const char *name, char **text, GError **error)
{
    xmlNode *node = NULL;
    if (!dlk_domain_xml_child(root, name, ELEMENT, &node, error))
        return FALSE;
    g_autofree char *found = dlk_domain_xml_text(node);
    if (found && !dlk_text_is_clean(found))
        return dlk_domain_xml_fail(error, node, ELEMENT, "<%s> has characters that no name has", name);
    *text = g_steal_pointer(&found);
    return TRUE;
}

gboolean
dlk_domain_name_read(const char *xml, gsize length, char **name, char **uuid, GError **error)
{
    g_autofree char *found_name = NULL, *found_uuid = NULL;
    g_autoptr(xmlDoc) document = dlk_domain_xml_parse(xml, length, error);
    if (!document)
        return FALSE;
    const xmlNode *root = xmlDocGetRootElement(document);
    if (!root || !dlk_domain_xml_is(root, "domain"))
        return dlk_domain_xml_fail(error, root, ELEMENT, "is not that of a <domain>");
    if (!read_text(root, "name", &found_name, error) || !read_text(root, "uuid", &found_uuid, error))
        return FALSE;
    if (!found_name)
        return dlk_domain_xml_fail(error, root, ELEMENT, "the domain has no <name>");
    *name = g_steal_pointer(&found_name);
    *uuid = g_steal_pointer(&found_uuid);
    return TRUE;
}
