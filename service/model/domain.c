#include "model/domain.h"

#include "base/text.h"
#include "model/domain-disk.h"
#include "model/domain-machine.h"
#include "model/domain-xml.h"

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"
#define NAME_BYTES 64

/* What the parts of one domain need of the whole. */
typedef struct {
    GPtrArray *disks;
    char *uuid;   /* lower case, with hyphens; or %NULL */
    guint number; /* of the disk that is being read */
} Domain;

static gboolean
check_root(const xmlNode *root, GError **error)
{
    /* "test" is the type of the domains of libvirt's own test driver. */
    static const char *const types[] = {"qemu", "kvm", "xen", "test", NULL};
    if (!root || !dlk_domain_xml_is(root, "domain")) {
        g_autofree char *name = dlk_text_printable(root ? (const char *)root->name : "", NAME_BYTES);
        return dlk_domain_xml_fail(error, root, "domain XML", "begins with <%s>, not with <domain>", name);
    }
    g_autofree char *type = dlk_domain_xml_attribute(root, "type");
    if (!type || !g_strv_contains(types, type)) {
        g_autofree char *shown = dlk_text_printable(type ? type : "", NAME_BYTES);
        return dlk_domain_xml_fail(error, root, "domain XML", "the type “%s” is none of qemu, kvm and xen",
                                   shown);
    }
    return TRUE;
}

/* libvirt takes a UUID in either case and with hyphens anywhere; its folders have the canonical form. */
static char *
canonical_uuid(const char *text)
{
    GString *uuid = g_string_new(NULL);
    for (const char *c = text; *c; c++) {
        if (*c == '-')
            continue;
        if (uuid->len == 8 || uuid->len == 13 || uuid->len == 18 || uuid->len == 23)
            g_string_append_c(uuid, '-');
        g_string_append_c(uuid, g_ascii_tolower(*c));
    }
    g_autofree char *canonical = g_string_free(uuid, FALSE);
    return g_uuid_string_is_valid(canonical) ? g_steal_pointer(&canonical) : NULL;
}

static gboolean
read_uuid(const xmlNode *root, Domain *domain, GError **error)
{
    xmlNode *node = NULL;
    if (!dlk_domain_xml_child(root, "uuid", "domain XML", &node, error))
        return FALSE;
    g_autofree char *text = dlk_domain_xml_text(node);
    domain->uuid = text ? canonical_uuid(text) : NULL;
    return !text || domain->uuid || dlk_domain_xml_fail(error, node, "domain XML", "<uuid> is no UUID");
}

static gboolean
read_device(const xmlNode *node, Domain *domain, GError **error)
{
    if (dlk_domain_xml_is(node, "disk"))
        return dlk_domain_disk_read(node, ++domain->number, domain->disks, error);
    if (dlk_domain_xml_is(node, "tpm"))
        return dlk_domain_machine_tpm(node, domain->uuid, domain->disks, error);
    if (dlk_domain_xml_is(node, "lease"))
        return dlk_domain_machine_lease(node, domain->disks, error);
    if (dlk_domain_xml_is(node, "hostdev"))
        return dlk_domain_machine_hostdev(node, domain->disks, error);
    if (dlk_domain_xml_is(node, "memory") || dlk_domain_xml_is(node, "pstore"))
        return dlk_domain_machine_memory(node, domain->disks, error);
    return TRUE;
}

static gboolean
read_devices(const xmlNode *devices, Domain *domain, GError **error)
{
    for (const xmlNode *node = devices->children; node; node = node->next)
        if (!read_device(node, domain, error))
            return FALSE;
    return TRUE;
}

static gboolean
read_part(const xmlNode *node, Domain *domain, GError **error)
{
    if (dlk_domain_xml_is(node, "os"))
        return dlk_domain_machine_os(node, domain->disks, error);
    if (dlk_domain_xml_is(node, "devices"))
        return read_devices(node, domain, error);
    if (node->type == XML_ELEMENT_NODE && node->ns && g_str_equal(node->ns->href, QEMU_NAMESPACE) &&
        g_str_equal(node->name, "commandline"))
        return dlk_domain_machine_command_line(node, error);
    return TRUE;
}

static gboolean
read_domain(const xmlNode *root, Domain *domain, GError **error)
{
    if (!check_root(root, error) || !read_uuid(root, domain, error))
        return FALSE;
    for (const xmlNode *node = root->children; node; node = node->next)
        if (!read_part(node, domain, error))
            return FALSE;
    return TRUE;
}

GPtrArray *
dlk_domain_parse(const char *xml, gsize length, GError **error)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_domain_disk_free);
    g_autoptr(xmlDoc) document = dlk_domain_xml_parse(xml, length, error);
    Domain domain = {.disks = disks};
    if (!document)
        return NULL;
    const gboolean ok = read_domain(xmlDocGetRootElement(document), &domain, error);
    g_free(domain.uuid);
    return ok ? g_steal_pointer(&disks) : NULL;
}
