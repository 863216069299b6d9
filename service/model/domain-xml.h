#pragma once

#include <glib.h>
#include <libxml/tree.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/**
 * dlk_domain_xml_parse: the document in @xml, within the bounds of domain.h. Nothing is loaded, no entity is
 * expanded, and a document with a DOCTYPE is refused. DLK_ERROR_INVALID_ARGS.
 */
xmlDoc *dlk_domain_xml_parse(const char *xml, gsize length, GError **error);

/** dlk_domain_xml_fail: sets DLK_ERROR_INVALID_ARGS "line N: ELEMENT: …". Always FALSE. */
gboolean dlk_domain_xml_fail(GError **error, const xmlNode *node, const char *element, const char *format,
                             ...) G_GNUC_PRINTF(4, 5);

/** Is @node an element of libvirt's own (without a namespace) with that name? */
gboolean dlk_domain_xml_is(const xmlNode *node, const char *name);
/**
 * dlk_domain_xml_child: the one child element @name of @parent, in *@child, or %NULL where it has none.
 * FALSE where there are two: which of them counts would be a guess. @element: for the message.
 */
gboolean dlk_domain_xml_child(const xmlNode *parent, const char *name, const char *element, xmlNode **child,
                              GError **error);
/** The attribute's value, or %NULL; also %NULL for @node %NULL. Free with g_free(). */
char *dlk_domain_xml_attribute(const xmlNode *node, const char *name);
gboolean dlk_domain_xml_attribute_is(const xmlNode *node, const char *name, const char *value);
/** The element's text without blanks around it, or %NULL where there is none. Free with g_free(). */
char *dlk_domain_xml_text(const xmlNode *node);
