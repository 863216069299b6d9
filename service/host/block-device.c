#include "host/block-device.h"

#include "base/text.h"
#include "host/block-identity.h"

#include <string.h>
#include <sys/sysmacros.h>

#define MAX_NAMES 64

static const struct {
    const char *prefix, *transport;
} by_name[] = {{"loop", "loop"}, {"dm-", "dm"}, {"md", "md"}, {"nvme", "nvme"}, {"vd", "virtio"}};

/* By the kernel's name for what has no bus of its own, else by the bus that the disk is on. */
static char *
transport_of(const char *whole)
{
    g_autofree char *kernel_name = g_path_get_basename(whole);
    for (guint i = 0; i < G_N_ELEMENTS(by_name); i++)
        if (g_str_has_prefix(kernel_name, by_name[i].prefix))
            return g_strdup(by_name[i].transport);
    g_autofree char *link = g_build_filename(whole, "device/subsystem", NULL);
    g_autofree char *bus = g_file_read_link(link, NULL);
    return bus != NULL ? g_path_get_basename(bus) : NULL;
}

/* udev's database: one line a fact, "S:" a link in /dev. */
static char **
other_names(const DlkDevices *devices, dev_t device)
{
    g_autofree char *path = g_strdup_printf("%s/data/b%u:%u", devices->udev, major(device), minor(device));
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;

    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint found = 0;
    for (guint i = 0; lines[i] != NULL && found < MAX_NAMES; i++) {
        if (!g_str_has_prefix(lines[i], "S:") || !dlk_text_is_clean(lines[i]))
            continue;
        g_autofree char *name = g_build_filename(devices->dev, lines[i] + strlen("S:"), NULL);
        g_strv_builder_add(builder, name);
        found++;
    }
    return found > 0 ? g_strv_builder_end(builder) : NULL;
}

/* What the identity is made of, for those who want to see it: for maps and partitions the disk below's. */
static char *
find_wwid(const char *id)
{
    const char *wwid = g_str_has_prefix(id, "wwid:") ? id + strlen("wwid:") : NULL;
    if (wwid == NULL)
        return NULL;
    const char *partition = strstr(wwid, "/part");
    return partition != NULL ? g_strndup(wwid, (gsize)(partition - wwid)) : g_strdup(wwid);
}

static gboolean
set_ancestors(DlkDisk *disk, const DlkDevices *devices, const char *folder, GError **error)
{
    g_autoptr(GPtrArray) ancestors = dlk_block_identity_ancestors(devices, folder, disk->id, error);
    if (ancestors == NULL)
        return FALSE;
    if (ancestors->len > 0) {
        g_ptr_array_add(ancestors, NULL);
        disk->ancestors = (char **)g_ptr_array_free(g_steal_pointer(&ancestors), FALSE);
    }
    return TRUE;
}

DlkDisk *
dlk_block_device_new(dev_t device, const DlkDevices *devices, GError **error)
{
    g_autofree char *folder = dlk_sysfs_block_folder(devices, device);
    g_autofree char *id = folder != NULL ? dlk_block_identity(devices, folder, error)
                                         : g_strdup_printf("block:%u:%u", major(device), minor(device));
    if (id == NULL)
        return NULL;
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_BLOCK, id);
    disk->device = device;
    /* A device that hangs must hold up no other device; they share one filesystem. */
    disk->lane = g_strdup(id);
    disk->names = other_names(devices, device);
    disk->wwid = find_wwid(id);
    if (folder == NULL)
        return g_steal_pointer(&disk);

    g_autofree char *whole = dlk_sysfs_block_whole(folder);
    disk->transport = transport_of(whole != NULL ? whole : folder);
    return set_ancestors(disk, devices, folder, error) ? g_steal_pointer(&disk) : NULL;
}
