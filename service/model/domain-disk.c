#include "model/domain-disk.h"

#include "base/text.h"
#include "model/disk-name.h"
#include "model/domain-list.h"
#include "model/domain-source.h"
#include "model/domain-xml.h"

#include <string.h>

#define MESSAGE_BYTES 200
#define NAME_BYTES 64
#define FORMAT_BYTES 32

/* One chain on its way from the image down to the base. */
typedef struct {
    GPtrArray *disks;
    GHashTable *seen; /* names that are in it already */
    const char *top;  /* "disk vda" */
    guint number;     /* of the <disk>, from 1 */
    guint traits;     /* of the <disk> */
    gboolean optional;
    const char *committed; /* name of the image that a block commit writes to, or %NULL */
    gboolean met_committed;
} Chain;

/* One image of a chain. */
typedef struct {
    const xmlNode *node; /* <disk>, <backingStore>, <mirror> or <dataStore> */
    const char *element;
    DlkDomainPart part;
    const char *format;
    gboolean is_data_store;
} Image;

gboolean
dlk_domain_format(const xmlNode *node, const char *attribute, const char *element, char **format,
                  GError **error)
{
    g_autofree char *type = dlk_domain_xml_attribute(node, attribute);
    *format = NULL;
    if (!type)
        return TRUE;
    const gsize length = strlen(type);
    if (length == 0 || length > FORMAT_BYTES ||
        strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789-_") != length)
        return dlk_domain_xml_fail(error, node, element, "has a format that is no name of one");
    /* Xen's drivers say how they read a raw image. */
    *format = g_strdup(g_str_equal(type, "aio") ? "raw" : type);
    return TRUE;
}

static gboolean
child_format(const xmlNode *node, const char *element, char **format, GError **error)
{
    xmlNode *child = NULL;
    if (!dlk_domain_xml_child(node, "format", element, &child, error))
        return FALSE;
    return dlk_domain_format(child, "type", element, format, error);
}

/* Only of an image that is declared raw, or of a format without backing files, is it sure that the header
 * says nothing. */
static gboolean
names_backing_files(const char *format)
{
    static const char *const formats[] = {"qcow2", "qcow", "qed", "vmdk", NULL};
    return !format || g_strv_contains(formats, format);
}

static gboolean
names_data_files(const char *format)
{
    return !format || g_str_equal(format, "qcow2") || g_str_equal(format, "vmdk");
}

static gboolean
remember(Chain *chain, const Image *image, const char *name, GError **error)
{
    char *collapsed = name[0] == '/' ? dlk_disk_name_collapse(name) : g_strdup(name);
    if (!g_hash_table_add(chain->seen, collapsed)) {
        g_autofree char *shown = dlk_text_printable(name, MESSAGE_BYTES);
        return dlk_domain_xml_fail(error, image->node, image->element, "%s is in the chain of %s twice",
                                   shown, chain->top);
    }
    return TRUE;
}

/* Does the running block commit write to @name? */
static gboolean
meets_commit(Chain *chain, const char *name)
{
    g_autofree char *collapsed = name && name[0] == '/' ? dlk_disk_name_collapse(name) : g_strdup(name);
    if (!chain->committed || g_strcmp0(collapsed, chain->committed) != 0)
        return FALSE;
    chain->met_committed = TRUE;
    return TRUE;
}

/* The attribute type of @node; the word is old, and was a file's. */
static char *
type_of(const xmlNode *node)
{
    char *type = dlk_domain_xml_attribute(node, "type");
    return type ? type : g_strdup("file");
}

/* What @image is called: its source's name or, in a <mirror> of old, its own attribute. */
static gboolean
name_of(const Image *image, const xmlNode *source, const char *type, char **name, GError **error)
{
    if (!dlk_domain_source(source, type, image->element, name, error))
        return FALSE;
    if (!*name && image->part == DLK_PART_MIRROR)
        return dlk_domain_source(image->node, type, image->element, name, error);
    return TRUE;
}

static gboolean add_data_store(Chain *chain, const Image *owner, const xmlNode *store, GError **error);

/* @skipped (out): the table says that there is nothing to take. */
static gboolean
add_image(Chain *chain, const Image *image, gboolean *skipped, GError **error)
{
    xmlNode *source = NULL, *backing = NULL, *store = NULL;
    g_autofree char *name = NULL;
    g_autofree char *type = type_of(image->node);
    if (!dlk_domain_xml_child(image->node, "source", image->element, &source, error) ||
        !dlk_domain_xml_child(image->node, "backingStore", image->element, &backing, error) ||
        (source && !dlk_domain_xml_child(source, "dataStore", image->element, &store, error)) ||
        !name_of(image, source, type, &name, error))
        return FALSE;
    const gboolean commit =
        image->part == DLK_PART_BACKING && !image->is_data_store && meets_commit(chain, name);
    const DlkDomainFind find = {
        .node = image->node,
        .element = image->element,
        .part = image->part,
        .type = type,
        .traits = (image->part == DLK_PART_DISK ? chain->traits : 0) | (commit ? DLK_TRAIT_COMMIT : 0),
        .name = name,
        .format = image->format,
        .probe_chain = !backing && !image->is_data_store && names_backing_files(image->format),
        .probe_data_file = !store && !image->is_data_store && names_data_files(image->format),
        .is_data_file = image->is_data_store,
        .optional = chain->optional,
        .chain = chain->number,
    };
    if (!dlk_domain_list_add(chain->disks, &find, skipped, error))
        return FALSE;
    if (*skipped)
        return TRUE;
    return remember(chain, image, name, error) && (!store || add_data_store(chain, image, store, error));
}

/* What it holds is part of its image: it is taken as that one is. */
static gboolean
add_data_store(Chain *chain, const Image *owner, const xmlNode *store, GError **error)
{
    gboolean skipped = FALSE;
    g_autofree char *format = NULL;
    g_autofree char *element = g_strdup_printf("data store of %s", owner->element);
    if (!child_format(store, element, &format, error))
        return FALSE;
    if (format && !g_str_equal(format, "raw"))
        return dlk_domain_xml_fail(error, store, element, "has the format %s; data stores are raw", format);
    const Image image = {store, element, owner->part, "raw", TRUE};
    return add_image(chain, &image, &skipped, error);
}

/* An empty <backingStore/> says that the chain ends here. */
static gboolean
ends_chain(const xmlNode *backing)
{
    if (xmlHasNsProp(backing, (const xmlChar *)"type", NULL))
        return FALSE;
    for (const xmlNode *node = backing->children; node; node = node->next)
        if (dlk_domain_xml_is(node, "source"))
            return FALSE;
    return TRUE;
}

static gboolean
add_backing_files(Chain *chain, const xmlNode *image, GError **error)
{
    for (guint level = 1;; level++) {
        xmlNode *backing = NULL;
        gboolean skipped = FALSE;
        g_autofree char *format = NULL;
        g_autofree char *element = g_strdup_printf("backing file %u of %s", level, chain->top);
        if (!dlk_domain_xml_child(image, "backingStore", element, &backing, error))
            return FALSE;
        if (!backing || ends_chain(backing))
            return TRUE;
        if (!child_format(backing, element, &format, error))
            return FALSE;
        const Image file = {backing, element, DLK_PART_BACKING, format, FALSE};
        if (!add_image(chain, &file, &skipped, error))
            return FALSE;
        image = backing;
    }
}

static gboolean
add_mirror(const Chain *disk, const xmlNode *mirror, GError **error)
{
    gboolean skipped = FALSE;
    g_autofree char *format = NULL;
    g_autofree char *element = g_strdup_printf("mirror of %s", disk->top);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Chain chain = {.disks = disk->disks, .seen = seen, .top = element};
    if (!child_format(mirror, element, &format, error))
        return FALSE;
    if (!format && !dlk_domain_format(mirror, "format", element, &format, error))
        return FALSE;
    const Image image = {mirror, element, DLK_PART_MIRROR, format, FALSE};
    return add_image(&chain, &image, &skipped, error) && add_backing_files(&chain, mirror, error);
}

/* In *@name the image that a commit into the chain writes to, or %NULL. */
static gboolean
committed_name(const xmlNode *mirror, const char *element, char **name, GError **error)
{
    xmlNode *source = NULL;
    g_autofree char *type = type_of(mirror);
    g_autofree char *found = NULL;
    *name = NULL;
    if (!dlk_domain_xml_attribute_is(mirror, "job", "active-commit"))
        return TRUE;
    if (!dlk_domain_xml_child(mirror, "source", element, &source, error) ||
        !dlk_domain_source(source ? source : mirror, type, element, &found, error))
        return FALSE;
    *name = found && found[0] == '/' ? dlk_disk_name_collapse(found) : g_steal_pointer(&found);
    return TRUE;
}

static gboolean
read_traits(const xmlNode *node, const char *element, guint *traits, GError **error)
{
    xmlNode *readonly = NULL, *shareable = NULL, *transient = NULL;
    g_autofree char *device = dlk_domain_xml_attribute(node, "device");
    static const char *const devices[] = {"disk", "cdrom", "floppy", "lun", NULL};
    if (device && !g_strv_contains(devices, device)) {
        g_autofree char *shown = dlk_text_printable(device, NAME_BYTES);
        return dlk_domain_xml_fail(error, node, element, "is the device “%s”, which is not known", shown);
    }
    if (!dlk_domain_xml_child(node, "readonly", element, &readonly, error) ||
        !dlk_domain_xml_child(node, "shareable", element, &shareable, error) ||
        !dlk_domain_xml_child(node, "transient", element, &transient, error))
        return FALSE;
    const gboolean is_cdrom = g_strcmp0(device, "cdrom") == 0;
    const gboolean is_removable = is_cdrom || g_strcmp0(device, "floppy") == 0;
    *traits = (is_cdrom ? DLK_TRAIT_CDROM : 0) | (is_removable ? DLK_TRAIT_REMOVABLE : 0) |
              (readonly ? DLK_TRAIT_READONLY : 0) | (shareable ? DLK_TRAIT_SHAREABLE : 0) |
              (dlk_domain_xml_attribute_is(transient, "shareBacking", "yes") ? DLK_TRAIT_SHARED_BACKING : 0);
    return TRUE;
}

/* "disk vda", or "disk 3" where it has no target. */
static char *
label_of(const xmlNode *node, guint number)
{
    for (const xmlNode *child = node->children; child; child = child->next) {
        g_autofree char *device =
            dlk_domain_xml_is(child, "target") ? dlk_domain_xml_attribute(child, "dev") : NULL;
        if (device && *device) {
            g_autofree char *shown = dlk_text_printable(device, NAME_BYTES);
            return g_strdup_printf("disk %s", shown);
        }
    }
    return g_strdup_printf("disk %u", number);
}

static gboolean
is_optional(const xmlNode *source)
{
    return dlk_domain_xml_attribute_is(source, "startupPolicy", "optional") ||
           dlk_domain_xml_attribute_is(source, "startupPolicy", "requisite");
}

gboolean
dlk_domain_disk_read(const xmlNode *node, guint number, GPtrArray *disks, GError **error)
{
    xmlNode *driver = NULL, *source = NULL, *mirror = NULL;
    gboolean skipped = FALSE;
    guint traits = 0;
    g_autofree char *element = label_of(node, number);
    g_autofree char *format = NULL, *committed = NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!dlk_domain_xml_child(node, "driver", element, &driver, error) ||
        !dlk_domain_xml_child(node, "source", element, &source, error) ||
        !dlk_domain_xml_child(node, "mirror", element, &mirror, error) ||
        !dlk_domain_format(driver, "type", element, &format, error) ||
        !read_traits(node, element, &traits, error) ||
        (mirror && !committed_name(mirror, element, &committed, error)))
        return FALSE;
    Chain chain = {disks, seen, element, number, traits, is_optional(source), committed, FALSE};
    /* Without a word on it libvirt takes the image as raw. */
    const Image image = {node, element, DLK_PART_DISK, format ? format : "raw", FALSE};
    if (!add_image(&chain, &image, &skipped, error))
        return FALSE;
    if (skipped)
        return TRUE;
    return add_backing_files(&chain, node, error) &&
           (!mirror || chain.met_committed || add_mirror(&chain, mirror, error));
}
