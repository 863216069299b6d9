#include "model/storage-pool.h"

#include "base/error.h"
#include "base/text.h"
#include "model/disk-name.h"
#include "model/domain-xml.h"
#include "model/network-name.h"

#include <string.h>

#define SCHEME "volume:///"
#define MESSAGE_BYTES 200
#define INSTEAD "name the path that `virsh vol-path` prints instead"

char *
dlk_volume_uri(const char *pool, const char *volume)
{
    g_autofree char *escaped_pool = g_uri_escape_string(pool, NULL, FALSE);
    g_autofree char *escaped_volume = g_uri_escape_string(volume, NULL, FALSE);

    return g_strdup_printf(SCHEME "%s/%s", escaped_pool, escaped_volume);
}

gboolean
dlk_volume_is_uri(const char *text)
{
    return g_str_has_prefix(text, SCHEME);
}

/* What becomes a component of a path must not lead elsewhere. */
static gboolean
is_component(const char *name)
{
    return name && *name && *name != '.' && !strchr(name, '/') && dlk_text_is_clean(name);
}

gboolean
dlk_volume_parse_uri(const char *uri, char **pool, char **volume, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(uri + strlen(SCHEME), "/", 2);

    *pool = parts[0] ? g_uri_unescape_string(parts[0], NULL) : NULL;
    *volume = parts[0] && parts[1] ? g_uri_unescape_string(parts[1], NULL) : NULL;
    if (is_component(*pool) && *volume && **volume && dlk_text_is_clean(*volume))
        return TRUE;
    g_clear_pointer(pool, g_free);
    g_clear_pointer(volume, g_free);
    g_autofree char *shown = dlk_text_printable(uri, MESSAGE_BYTES);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "%s names no volume of a storage pool: " SCHEME "POOL/VOLUME would", shown);
    return FALSE;
}

static char *
refuse(const char *reason, GError **error)
{
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "%s: " INSTEAD, reason);
    return NULL;
}

/* The text of @parent's one child @name; NULL with or without @error. */
static char *
text_of(const xmlNode *parent, const char *name, GError **error)
{
    xmlNode *child = NULL;

    if (!parent || !dlk_domain_xml_child(parent, name, "the pool", &child, error) || !child)
        return NULL;
    return dlk_domain_xml_text(child);
}

static char *
path_below(const char *folder, const char *volume, GError **error)
{
    g_autofree char *path = NULL;

    if (!folder || !is_component(volume))
        return refuse(folder ? "the volume's name is no file name" : "the pool has no target path", error);
    path = g_build_filename(folder, volume, NULL);
    return dlk_disk_name_check_path(path, error) ? dlk_disk_name_collapse(path) : NULL;
}

static char *
path_of(const xmlNode *pool, const char *volume, GError **error)
{
    g_autoptr(GError) local = NULL;
    xmlNode *target = NULL;
    g_autofree char *folder = NULL;

    if (dlk_domain_xml_child(pool, "target", "the pool", &target, &local))
        folder = text_of(target, "path", &local);
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    return path_below(folder, volume, error);
}

static gboolean
add_hosts(const xmlNode *source, DlkNetworkName *network, GError **error)
{
    for (const xmlNode *node = source->children; node; node = node->next) {
        g_autofree char *name = NULL, *port = NULL;

        if (!dlk_domain_xml_is(node, "host"))
            continue;
        name = dlk_domain_xml_attribute(node, "name");
        port = dlk_domain_xml_attribute(node, "port");
        if (!dlk_network_name_add_host(network, name ? name : "", port, error))
            return FALSE;
    }
    return TRUE;
}

/* As libvirt names the disk to QEMU: source name, folder there, volume. */
static char *
network_uri_of(const xmlNode *pool, const char *protocol, const char *volume, GError **error)
{
    g_autoptr(DlkNetworkName) network = dlk_network_name_new(protocol, error);
    g_autofree char *source_name = NULL, *folder = NULL, *name = NULL;
    xmlNode *source = NULL, *dir = NULL;

    if (!network || !dlk_domain_xml_child(pool, "source", "the pool", &source, error))
        return NULL;
    if (!source)
        return refuse("the pool has no source", error);
    source_name = text_of(source, "name", NULL);
    if (!source_name)
        return refuse("the pool's source has no name", error);
    if (dlk_domain_xml_child(source, "dir", "the pool", &dir, NULL))
        folder = dlk_domain_xml_attribute(dir, "path");
    if (!add_hosts(source, network, error))
        return NULL;
    name = g_build_path("/", source_name, folder ? folder : "", volume, NULL);
    return dlk_network_name_to_uri(network, name, NULL, error);
}

static char *
locate(const xmlNode *pool, const char *volume, GError **error)
{
    static const char *const with_target[] = {"dir", "fs", "netfs", "vstorage", "logical", "zfs", NULL};
    g_autofree char *type = dlk_domain_xml_attribute(pool, "type");

    if (type && g_strv_contains(with_target, type))
        return path_of(pool, volume, error);
    /* Its target path says under which links libvirt shows the partitions; their names are the kernel's. */
    if (g_strcmp0(type, "disk") == 0)
        return path_below("/dev", volume, error);
    if (g_strcmp0(type, "rbd") == 0 || g_strcmp0(type, "gluster") == 0)
        return network_uri_of(pool, type, volume, error);
    return refuse("libvirt alone can find the volumes of a pool of this type", error);
}

char *
dlk_storage_pool_locate(const char *xml, gsize length, const char *volume, GError **error)
{
    g_autoptr(xmlDoc) document = dlk_domain_xml_parse(xml, length, error);
    xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
    xmlNode *pool = root;

    if (!document)
        return NULL;
    if (dlk_domain_xml_is(root, "poolstate") && !dlk_domain_xml_child(root, "pool", "the pool", &pool, error))
        return NULL;
    if (!pool || !dlk_domain_xml_is(pool, "pool"))
        return refuse("its description is not that of a pool", error);
    return locate(pool, volume, error);
}
