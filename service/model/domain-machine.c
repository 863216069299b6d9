#include "model/domain-machine.h"
#include "model/disk-name.h"

#include "base/text.h"
#include "model/domain-disk.h"
#include "model/domain-list.h"
#include "model/domain-network.h"
#include "model/domain-source.h"
#include "model/domain-xml.h"

#include <string.h>

#define SWTPM_FOLDER "/var/lib/libvirt/swtpm/"
#define NAME_BYTES 64

/* A file of which the XML says the path and no more. */
static gboolean
add_file(GPtrArray *disks, const DlkDomainFind *find, GError **error)
{
    return dlk_domain_path_check(find->node, find->element, find->name, error) &&
           dlk_domain_list_add(disks, find, NULL, error);
}

static gboolean
add_uri(GPtrArray *disks, const xmlNode *node, DlkDomainPart part, guint traits, const char *element,
        const char *uri, GError **error)
{
    const DlkDomainFind find = {
        .node = node, .element = element, .part = part, .type = "network", .traits = traits, .name = uri};
    return dlk_domain_list_add(disks, &find, NULL, error);
}

static gboolean
add_loader(const xmlNode *loader, GPtrArray *disks, GError **error)
{
    g_autofree char *path = dlk_domain_xml_text(loader);
    g_autofree char *format = NULL;
    const guint traits = dlk_domain_xml_attribute_is(loader, "readonly", "no") ? DLK_TRAIT_WRITABLE : 0;
    if (!dlk_domain_format(loader, "format", "loader", &format, error))
        return FALSE;
    if (!path)
        return TRUE; /* libvirt chooses one when it starts the domain */
    const DlkDomainFind find = {.node = loader,
                                .element = "loader",
                                .part = DLK_PART_LOADER,
                                .type = "file",
                                .traits = traits,
                                .name = path,
                                .format = format ? format : "raw"};
    return add_file(disks, &find, error);
}

/* Needed only where what is made from it is not there yet. */
static gboolean
add_template(const xmlNode *node, GPtrArray *disks, GError **error)
{
    g_autofree char *path = dlk_domain_xml_attribute(node, "template");
    const DlkDomainFind find = {.node = node,
                                .element = "nvram template",
                                .type = "file",
                                .part = DLK_PART_TEMPLATE,
                                .name = path,
                                .format = "raw",
                                .optional = TRUE};
    return !path || add_file(disks, &find, error);
}

static gboolean
add_nvram(const xmlNode *nvram, GPtrArray *disks, GError **error)
{
    xmlNode *source = NULL;
    g_autofree char *type = dlk_domain_xml_attribute(nvram, "type");
    g_autofree char *format = NULL, *name = NULL;
    if (!dlk_domain_format(nvram, "format", "nvram", &format, error))
        return FALSE;
    if (!type) {
        name = dlk_domain_xml_text(nvram);
        if (name && !dlk_domain_path_check(nvram, "nvram", name, error))
            return FALSE;
    } else if (!dlk_domain_xml_child(nvram, "source", "nvram", &source, error) ||
               !dlk_domain_source(source, type, "nvram", &name, error)) {
        return FALSE;
    }
    const DlkDomainFind find = {.node = nvram,
                                .element = "nvram",
                                .part = DLK_PART_NVRAM,
                                .type = type ? type : "file",
                                .name = name,
                                .format = format ? format : "raw",
                                .optional = TRUE};
    return (!name || dlk_domain_list_add(disks, &find, NULL, error)) && add_template(nvram, disks, error);
}

static gboolean
add_variable_store(const xmlNode *store, GPtrArray *disks, GError **error)
{
    g_autofree char *path = dlk_domain_xml_attribute(store, "path");
    const DlkDomainFind find = {.node = store,
                                .element = "variable store",
                                .type = "file",
                                .part = DLK_PART_NVRAM,
                                .name = path,
                                .format = "raw",
                                .optional = TRUE};
    return (!path || add_file(disks, &find, error)) && add_template(store, disks, error);
}

gboolean
dlk_domain_machine_os(const xmlNode *os, GPtrArray *disks, GError **error)
{
    for (const xmlNode *node = os->children; node; node = node->next) {
        gboolean ok = TRUE;
        if (dlk_domain_xml_is(node, "loader"))
            ok = add_loader(node, disks, error);
        else if (dlk_domain_xml_is(node, "nvram"))
            ok = add_nvram(node, disks, error);
        else if (dlk_domain_xml_is(node, "varstore"))
            ok = add_variable_store(node, disks, error);
        if (!ok)
            return FALSE;
    }
    return TRUE;
}

/*
 * swtpm writes its state to a new file and renames it over the old one, so that no file stays whose lock
 * would mean anything: the folder's name stands for it.
 */
static gboolean
add_tpm_folder(const xmlNode *node, const char *path, GPtrArray *disks, GError **error)
{
    if (!dlk_domain_path_check(node, "TPM state", path, error))
        return FALSE;
    g_autofree char *uri = dlk_disk_name_path_uri("swtpm", path);
    return add_uri(disks, node, DLK_PART_TPM, 0, "TPM state", uri, error);
}

static gboolean
add_tpm_source(const xmlNode *source, GPtrArray *disks, GError **error)
{
    g_autofree char *path = dlk_domain_xml_attribute(source, "path");
    if (!path)
        return dlk_domain_xml_fail(error, source, "TPM state", "its source has no path");
    if (dlk_domain_xml_attribute_is(source, "type", "file")) {
        const DlkDomainFind find = {.node = source,
                                    .element = "TPM state",
                                    .type = "file",
                                    .part = DLK_PART_TPM,
                                    .name = path,
                                    .format = "raw",
                                    .optional = TRUE};
        return add_file(disks, &find, error);
    }
    if (dlk_domain_xml_attribute_is(source, "type", "dir"))
        return add_tpm_folder(source, path, disks, error);
    return dlk_domain_xml_fail(error, source, "TPM state", "its source is neither a file nor a folder");
}

gboolean
dlk_domain_machine_tpm(const xmlNode *tpm, const char *uuid, GPtrArray *disks, GError **error)
{
    xmlNode *backend = NULL, *source = NULL;
    if (!dlk_domain_xml_child(tpm, "backend", "TPM state", &backend, error))
        return FALSE;
    /* A TPM of the host, or one that another program runs, keeps its state itself. */
    if (!dlk_domain_xml_attribute_is(backend, "type", "emulator"))
        return TRUE;
    if (!dlk_domain_xml_child(backend, "source", "TPM state", &source, error))
        return FALSE;
    if (source)
        return add_tpm_source(source, disks, error);
    if (!uuid) {
        return dlk_domain_xml_fail(error, tpm, "TPM state",
                                   "is in a folder named after the domain's uuid, and the XML has no <uuid>");
    }
    g_autofree char *folder = g_strconcat(SWTPM_FOLDER, uuid, NULL);
    return add_tpm_folder(tpm, folder, disks, error);
}

static gboolean
child_text(const xmlNode *parent, const char *name, const char *element, char **text, GError **error)
{
    xmlNode *child = NULL;
    *text = NULL;
    if (!dlk_domain_xml_child(parent, name, element, &child, error))
        return FALSE;
    *text = dlk_domain_xml_text(child);
    if (*text && (!dlk_text_is_clean(*text) || strlen(*text) > 1024))
        return dlk_domain_xml_fail(error, child, element, "<%s> is no name", name);
    return TRUE;
}

/* Lockspace and key name a lease; the target, where the lock manager keeps it, is shared by many. */
gboolean
dlk_domain_machine_lease(const xmlNode *lease, GPtrArray *disks, GError **error)
{
    xmlNode *target = NULL;
    g_autofree char *key = NULL, *lockspace = NULL;
    if (!child_text(lease, "key", "lease", &key, error) ||
        !child_text(lease, "lockspace", "lease", &lockspace, error))
        return FALSE;
    if (!key)
        return dlk_domain_xml_fail(error, lease, "lease", "has no <key>");
    g_autofree char *shown = dlk_text_printable(key, NAME_BYTES);
    g_autofree char *element = g_strconcat("lease ", shown, NULL);
    if (!dlk_domain_xml_child(lease, "target", element, &target, error))
        return FALSE;
    g_autofree char *path = dlk_domain_xml_attribute(target, "path");
    if (!path)
        return dlk_domain_xml_fail(error, lease, element, "has no <target path=…>");
    if (!dlk_domain_path_check(target, element, path, error))
        return FALSE;
    g_autofree char *collapsed = dlk_disk_name_collapse(path);
    g_autofree char *space = g_uri_escape_string(lockspace ? lockspace : collapsed, NULL, FALSE);
    g_autofree char *name = g_uri_escape_string(key, NULL, FALSE);
    g_autofree char *uri = g_strdup_printf("lease:///%s/%s", space, name);
    return add_uri(disks, lease, DLK_PART_LEASE, 0, element, uri, error);
}

/* "scsi_host2" and its address there → "scsi:///scsi_host2/0:3:1" */
static gboolean
scsi_unit(const xmlNode *source, char **uri, GError **error)
{
    static const char *const names[] = {"bus", "target", "unit"};
    xmlNode *adapter = NULL, *address = NULL;
    guint64 numbers[G_N_ELEMENTS(names)];
    if (!dlk_domain_xml_child(source, "adapter", "host device", &adapter, error) ||
        !dlk_domain_xml_child(source, "address", "host device", &address, error))
        return FALSE;
    g_autofree char *host = dlk_domain_xml_attribute(adapter, "name");
    if (!host || !*host || strlen(host) > NAME_BYTES || !dlk_text_is_clean(host))
        return dlk_domain_xml_fail(error, source, "host device", "has no valid SCSI <adapter>");
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *text = dlk_domain_xml_attribute(address, names[i]);
        if (!text || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, &numbers[i], NULL)) {
            return dlk_domain_xml_fail(error, source, "host device", "its SCSI address has no valid %s",
                                       names[i]);
        }
    }
    g_autofree char *escaped = g_uri_escape_string(host, NULL, FALSE);
    *uri = g_strdup_printf("scsi:///%s/%u:%u:%u", escaped, (guint)numbers[0], (guint)numbers[1],
                           (guint)numbers[2]);
    return TRUE;
}

/* In *@uri what stands for the SCSI unit, or %NULL where @hostdev is something else. */
static gboolean
hostdev_uri(const xmlNode *hostdev, char **uri, GError **error)
{
    xmlNode *source = NULL;
    g_autofree char *type = dlk_domain_xml_attribute(hostdev, "type");
    *uri = NULL;
    if (!type || !g_str_has_prefix(type, "scsi"))
        return TRUE;
    if (!dlk_domain_xml_child(hostdev, "source", "host device", &source, error))
        return FALSE;
    if (!source)
        return dlk_domain_xml_fail(error, hostdev, "host device", "names no source");
    if (g_str_equal(type, "scsi_host")) {
        g_autofree char *wwpn = dlk_domain_xml_attribute(source, "wwpn");
        g_autofree char *escaped = wwpn ? g_uri_escape_string(wwpn, ".", FALSE) : NULL;
        *uri = escaped ? g_strconcat("vhost-scsi:///", escaped, NULL) : NULL;
    } else if (xmlHasNsProp(source, (const xmlChar *)"protocol", NULL)) {
        return dlk_domain_network(source, "host device", uri, error);
    } else {
        return scsi_unit(source, uri, error);
    }
    return *uri || dlk_domain_xml_fail(error, source, "host device", "its source has no wwpn");
}

gboolean
dlk_domain_machine_hostdev(const xmlNode *hostdev, GPtrArray *disks, GError **error)
{
    xmlNode *readonly = NULL, *shareable = NULL;
    g_autofree char *uri = NULL;
    if (!hostdev_uri(hostdev, &uri, error) ||
        !dlk_domain_xml_child(hostdev, "readonly", "host device", &readonly, error) ||
        !dlk_domain_xml_child(hostdev, "shareable", "host device", &shareable, error))
        return FALSE;
    const guint traits = (readonly ? DLK_TRAIT_READONLY : 0) | (shareable ? DLK_TRAIT_SHAREABLE : 0);
    return !uri || add_uri(disks, hostdev, DLK_PART_HOSTDEV, traits, "host device", uri, error);
}

gboolean
dlk_domain_machine_memory(const xmlNode *memory, GPtrArray *disks, GError **error)
{
    const gboolean is_store = dlk_domain_xml_is(memory, "pstore");
    const char *element = is_store ? "crash record store" : "persistent memory";
    xmlNode *source = NULL, *target = NULL, *readonly = NULL;
    g_autofree char *path = NULL;
    if (!is_store && !dlk_domain_xml_attribute_is(memory, "model", "nvdimm") &&
        !dlk_domain_xml_attribute_is(memory, "model", "virtio-pmem"))
        return TRUE;
    if (!dlk_domain_xml_child(memory, "source", element, &source, error) ||
        !dlk_domain_xml_child(memory, "target", element, &target, error) ||
        (target && !dlk_domain_xml_child(target, "readonly", element, &readonly, error)) ||
        !child_text(is_store || !source ? memory : source, "path", element, &path, error))
        return FALSE;
    if (!path)
        return dlk_domain_xml_fail(error, memory, element, "names no <path>");
    const guint traits = readonly ? DLK_TRAIT_READONLY : 0;
    if (g_str_has_prefix(path, "/dev/dax")) { /* a character device: no lock can be had on it */
        g_autofree char *uri = dlk_disk_name_path_uri("dax", path);
        return add_uri(disks, memory, DLK_PART_MEMORY, traits, element, uri, error);
    }
    const DlkDomainFind find = {.node = memory,
                                .element = element,
                                .type = "file",
                                .part = DLK_PART_MEMORY,
                                .traits = traits,
                                .name = path,
                                .format = "raw",
                                .optional = is_store};
    return add_file(disks, &find, error);
}

gboolean
dlk_domain_machine_command_line(const xmlNode *command_line, GError **error)
{
    static const char *const drives[] = {"drive", "blockdev", "hda",    "hdb", "hdc",      "hdd", "fda",
                                         "fdb",   "cdrom",    "pflash", "sd",  "mtdblock", NULL};
    for (const xmlNode *node = command_line->children; node; node = node->next) {
        g_autofree char *value =
            node->type == XML_ELEMENT_NODE ? dlk_domain_xml_attribute(node, "value") : NULL;
        if (!value || value[0] != '-')
            continue;
        const char *option = value + strspn(value, "-");
        if (g_strv_contains(drives, option)) {
            return dlk_domain_xml_fail(error, node, "QEMU command line",
                                       "-%s adds a drive that cannot be seen here: make it a <disk>", option);
        }
    }
    return TRUE;
}
