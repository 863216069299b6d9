#include "model/domain-list.h"

#include "model/domain-xml.h"
#include "model/storage-pool.h"

void
dlk_domain_disk_free(DlkDomainDisk *self)
{
    g_free(self->path);
    g_free(self->format);
    g_free(self->element);
    g_free(self);
}

static DlkDomainDisk *
disk_new(const DlkDomainFind *find, DlkMode mode)
{
    const gboolean is_local = find->name[0] == '/' || dlk_volume_is_uri(find->name);
    DlkDomainDisk *disk = g_new0(DlkDomainDisk, 1);
    disk->path = g_strdup(find->name);
    disk->mode = mode;
    disk->format = g_strdup(find->format);
    disk->probe_chain = find->probe_chain && is_local;
    disk->probe_data_file = find->probe_data_file && is_local;
    disk->is_data_file = find->is_data_file;
    disk->optional = find->optional;
    disk->chain = find->chain;
    disk->line = (guint)MAX(xmlGetLineNo(find->node), 1);
    disk->element = g_strdup(find->element);
    return disk;
}

gboolean
dlk_domain_list_add(GPtrArray *disks, const DlkDomainFind *find, gboolean *skipped, GError **error)
{
    DlkMode mode;
    const char *reason = NULL;
    const guint traits = find->traits | (find->name ? 0 : DLK_TRAIT_EMPTY);
    const DlkMapAnswer answer = dlk_domain_map(find->part, find->type, traits, &mode, &reason);
    if (skipped)
        *skipped = answer == DLK_MAP_SKIP;
    if (answer == DLK_MAP_SKIP)
        return TRUE;
    if (answer == DLK_MAP_REFUSE || !find->name) {
        return dlk_domain_xml_fail(error, find->node, find->element, "%s",
                                   reason ? reason : "names no source");
    }
    if (disks->len >= DLK_DOMAIN_MAX_DISKS) {
        return dlk_domain_xml_fail(error, find->node, find->element, "the domain has more than %d disks",
                                   DLK_DOMAIN_MAX_DISKS);
    }
    g_ptr_array_add(disks, disk_new(find, mode));
    return TRUE;
}
