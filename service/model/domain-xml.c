#include "model/domain-xml.h"

#include "base/error.h"
#include "base/text.h"
#include "model/domain.h"

#include <libxml/parser.h>
#include <string.h>

/* Nothing from anywhere else, no complaints on stderr, true line numbers beyond 65,535. */
#define OPTIONS (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_BIG_LINES)

#define MESSAGE_BYTES 200

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

/* A document type is where entities come from: it ends the parsing before a single one is defined. */
static void
refuse_doctype(void *context, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    xmlParserCtxt *parser = context;
    *(gboolean *)parser->_private = TRUE;
    xmlStopParser(parser);
}

static void
set_parser_error(GError **error, xmlParserCtxt *parser)
{
    const xmlError *reason = xmlCtxtGetLastError(parser);
    g_autofree char *text = dlk_text_printable(
        reason && reason->message ? g_strchomp(reason->message) : "not well-formed", MESSAGE_BYTES);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "line %d: domain XML: %s",
                reason ? MAX(reason->line, 1) : 1, text);
}

static gboolean
depth_is_bounded(const xmlNode *root, GError **error)
{
    guint depth = 1;
    for (const xmlNode *node = root; node;) {
        if (depth > DLK_DOMAIN_MAX_DEPTH) {
            return dlk_domain_xml_fail(error, node, "domain XML", "elements are nested more than %u deep",
                                       DLK_DOMAIN_MAX_DEPTH);
        }
        if (node->type == XML_ELEMENT_NODE && node->children) {
            node = node->children;
            depth++;
            continue;
        }
        while (node != root && !node->next) {
            node = node->parent;
            depth--;
        }
        node = node == root ? NULL : node->next;
    }
    return TRUE;
}

xmlDoc *
dlk_domain_xml_parse(const char *xml, gsize length, GError **error)
{
    if (length > DLK_DOMAIN_MAX_BYTES) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "line 1: domain XML: has %" G_GSIZE_FORMAT " bytes, more than %d", length,
                    DLK_DOMAIN_MAX_BYTES);
        return NULL;
    }
    if (memchr(xml, '\0', length)) { /* libxml2 would take what is in front of it for the whole */
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "line 1: domain XML: has a NUL byte");
        return NULL;
    }
    gboolean has_doctype = FALSE;
    g_autoptr(xmlParserCtxt) parser = xmlNewParserCtxt();
    parser->_private = &has_doctype;
    parser->sax->internalSubset = refuse_doctype;
    /* D-Bus hands over UTF-8, whatever the document says of itself. */
    g_autoptr(xmlDoc) document = xmlCtxtReadMemory(parser, xml, (int)length, NULL, "UTF-8", OPTIONS);
    if (has_doctype) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "line 1: domain XML: has a document type (DOCTYPE), which libvirt never prints");
        return NULL;
    }
    if (!document) {
        set_parser_error(error, parser);
        return NULL;
    }
    if (!depth_is_bounded(xmlDocGetRootElement(document), error))
        return NULL;
    return g_steal_pointer(&document);
}

gboolean
dlk_domain_xml_fail(GError **error, const xmlNode *node, const char *element, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "line %ld: %s: %s", MAX(xmlGetLineNo(node), 1),
                element, reason);
    return FALSE;
}

gboolean
dlk_domain_xml_is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && !node->ns && g_str_equal((const char *)node->name, name);
}

gboolean
dlk_domain_xml_child(const xmlNode *parent, const char *name, const char *element, xmlNode **child,
                     GError **error)
{
    *child = NULL;
    for (xmlNode *node = parent->children; node; node = node->next) {
        if (!dlk_domain_xml_is(node, name))
            continue;
        if (*child)
            return dlk_domain_xml_fail(error, node, element, "has a second <%s>", name);
        *child = node;
    }
    return TRUE;
}

/* libxml2's own memory becomes GLib's. */
static char *
take_string(xmlChar *string)
{
    char *copy = g_strdup((const char *)string);
    xmlFree(string);
    return copy;
}

char *
dlk_domain_xml_attribute(const xmlNode *node, const char *name)
{
    return node ? take_string(xmlGetNoNsProp(node, (const xmlChar *)name)) : NULL;
}

gboolean
dlk_domain_xml_attribute_is(const xmlNode *node, const char *name, const char *value)
{
    g_autofree char *found = dlk_domain_xml_attribute(node, name);
    return g_strcmp0(found, value) == 0;
}

char *
dlk_domain_xml_text(const xmlNode *node)
{
    g_autofree char *text = node ? take_string(xmlNodeGetContent(node)) : NULL;
    if (!text || !*g_strstrip(text))
        return NULL;
    return g_steal_pointer(&text);
}
