#include "model/domain-source.h"

#include "base/text.h"
#include "model/disk-name.h"
#include "model/domain-network.h"
#include "model/domain-xml.h"
#include "model/storage-pool.h"

#define MESSAGE_BYTES 200

gboolean
dlk_domain_path_check(const xmlNode *node, const char *element, const char *path, GError **error)
{
    g_autoptr(GError) reason = NULL;
    return dlk_disk_name_check_path(path, &reason) ||
           dlk_domain_xml_fail(error, node, element, "%s", reason->message);
}

/* The attribute that holds the path; an empty one is as good as none. */
static gboolean
path_of(const xmlNode *source, const char *attribute, const char *element, char **path, GError **error)
{
    g_autofree char *value = dlk_domain_xml_attribute(source, attribute);
    *path = NULL;
    if (!value || !*value)
        return TRUE;
    if (!dlk_domain_path_check(source, element, value, error))
        return FALSE;
    *path = g_steal_pointer(&value);
    return TRUE;
}

static gboolean
path_uri_of(const xmlNode *source, const char *attribute, const char *scheme, const char *element,
            char **name, GError **error)
{
    g_autofree char *path = NULL;
    if (!path_of(source, attribute, element, &path, error))
        return FALSE;
    *name = path ? dlk_disk_name_path_uri(scheme, path) : NULL;
    return TRUE;
}

/* A PCI address's part as libvirt writes it, "0x1f"; missing means 0. */
static gboolean
address_part(const xmlNode *address, const char *name, guint64 maximum, const char *element, guint64 *value,
             GError **error)
{
    g_autofree char *text = dlk_domain_xml_attribute(address, name);
    *value = 0;
    if (!text)
        return TRUE;
    const gboolean is_hex = g_str_has_prefix(text, "0x");
    if (!g_ascii_string_to_unsigned(is_hex ? text + 2 : text, is_hex ? 16 : 10, 0, maximum, value, NULL))
        return dlk_domain_xml_fail(error, address, element, "its address has no valid %s", name);
    return TRUE;
}

/* The controller leaves the kernel, and with it every path: what remains is its place on the bus. */
static gboolean
nvme_of(const xmlNode *source, const char *element, char **name, GError **error)
{
    guint64 domain, bus, slot, function, namespace;
    xmlNode *address = NULL;
    if (!dlk_domain_xml_child(source, "address", element, &address, error))
        return FALSE;
    if (!address)
        return dlk_domain_xml_fail(error, source, element, "its source has no PCI <address>");
    if (!address_part(address, "domain", 0xffff, element, &domain, error) ||
        !address_part(address, "bus", 0xff, element, &bus, error) ||
        !address_part(address, "slot", 0x1f, element, &slot, error) ||
        !address_part(address, "function", 7, element, &function, error) ||
        !address_part(source, "namespace", G_MAXUINT32, element, &namespace, error))
        return FALSE;
    *name = g_strdup_printf("nvme:///%04x:%02x:%02x.%x/%u", (guint)domain, (guint)bus, (guint)slot,
                            (guint)function, (guint) namespace);
    return TRUE;
}

static gboolean
volume_of(const xmlNode *source, const char *element, char **name, GError **error)
{
    g_autofree char *pool = dlk_domain_xml_attribute(source, "pool");
    g_autofree char *volume = dlk_domain_xml_attribute(source, "volume");
    g_autofree char *checked_pool = NULL, *checked_volume = NULL;
    g_autoptr(GError) reason = NULL;
    if (!pool && !volume)
        return TRUE;
    *name = dlk_volume_uri(pool ? pool : "", volume ? volume : "");
    return dlk_volume_parse_uri(*name, &checked_pool, &checked_volume, &reason) ||
           dlk_domain_xml_fail(error, source, element, "%s", reason->message);
}

gboolean
dlk_domain_source(const xmlNode *source, const char *type, const char *element, char **name, GError **error)
{
    *name = NULL;
    if (!source)
        return TRUE;
    if (g_str_equal(type, "file"))
        return path_of(source, "file", element, name, error);
    if (g_str_equal(type, "block"))
        return path_of(source, "dev", element, name, error);
    if (g_str_equal(type, "dir"))
        return path_of(source, "dir", element, name, error);
    if (g_str_equal(type, "network"))
        return dlk_domain_network(source, element, name, error);
    if (g_str_equal(type, "volume"))
        return volume_of(source, element, name, error);
    if (g_str_equal(type, "nvme"))
        return nvme_of(source, element, name, error);
    if (g_str_equal(type, "vhostuser"))
        return path_uri_of(source, "path", "vhostuser", element, name, error);
    if (g_str_equal(type, "vhostvdpa"))
        return path_uri_of(source, "dev", "vhostvdpa", element, name, error);
    g_autofree char *shown = dlk_text_printable(type, MESSAGE_BYTES);
    return dlk_domain_xml_fail(error, source, element, "has the type “%s”, which is not known", shown);
}
