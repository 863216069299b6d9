#include "host/block-device.h"

#include "base/text.h"

#include <string.h>
#include <sys/sysmacros.h>

/* Devices stacked on devices: deeper than anybody builds them. */
#define MAX_DEPTH 8
#define MAX_ANCESTORS 256
#define MAX_NAMES 64
#define MAX_TEXT 256

/* The text of a small file of one line, printable; %NULL where there is none. */
static char *
read_line(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL) || g_strstrip(text)[0] == '\0')
        return NULL;
    return dlk_text_printable(text, MAX_TEXT);
}

static gboolean
has(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The last component of where the link @folder/@name leads; %NULL: no link. */
static char *
link_end(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *target = g_file_read_link(path, NULL);
    return target != NULL ? g_path_get_basename(target) : NULL;
}

/* The folder of the whole disk: of @device itself unless that is a partition, which lies in it. */
static char *
whole_disk(const char *device)
{
    return has(device, "partition") ? g_build_filename(device, "..", NULL) : g_strdup(device);
}

static void
add_ancestor(GPtrArray *ancestors, const char *folder)
{
    g_autofree char *number = read_line(folder, "dev");
    g_autofree char *id = number != NULL ? g_strconcat("block:", number, NULL) : NULL;
    if (id != NULL && ancestors->len < MAX_ANCESTORS &&
        !g_ptr_array_find_with_equal_func(ancestors, id, g_str_equal, NULL))
        g_ptr_array_add(ancestors, g_steal_pointer(&id));
}

static void
add_ancestors(GPtrArray *ancestors, const char *device, guint depth)
{
    g_autofree char *whole = whole_disk(device);
    if (depth > MAX_DEPTH)
        return;
    if (!g_str_equal(whole, device))
        add_ancestor(ancestors, whole);

    g_autofree char *slaves = g_build_filename(whole, "slaves", NULL);
    g_autoptr(GDir) dir = g_dir_open(slaves, 0, NULL);
    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        g_autofree char *below = g_build_filename(slaves, name, NULL);
        add_ancestor(ancestors, below);
        add_ancestors(ancestors, below, depth + 1);
    }
}

static const struct {
    const char *prefix, *transport;
} by_name[] = {{"loop", "loop"}, {"dm-", "dm"}, {"md", "md"}, {"nvme", "nvme"}, {"vd", "virtio"}};

/* By the kernel's name for what has no bus of its own, else by the bus that the disk is on. */
static char *
transport_of(const char *kernel_name, const char *whole)
{
    for (guint i = 0; i < G_N_ELEMENTS(by_name); i++) {
        if (g_str_has_prefix(kernel_name, by_name[i].prefix))
            return g_strdup(by_name[i].transport);
    }
    return link_end(whole, "device/subsystem");
}

/* udev's database: one line a fact, "S:" a link in /dev. */
static char **
other_names(const char *udev, const char *number)
{
    g_autofree char *path = g_strconcat(udev, "/data/b", number, NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;

    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint found = 0;
    for (guint i = 0; lines[i] != NULL && found < MAX_NAMES; i++) {
        if (!g_str_has_prefix(lines[i], "S:") || !dlk_text_is_clean(lines[i]))
            continue;
        g_autofree char *name = g_strconcat("/dev/", lines[i] + strlen("S:"), NULL);
        g_strv_builder_add(builder, name);
        found++;
    }
    return found > 0 ? g_strv_builder_end(builder) : NULL;
}

void
dlk_block_device_describe(DlkDisk *disk, const char *sysfs, const char *udev)
{
    g_autofree char *number = g_strdup_printf("%u:%u", major(disk->device), minor(disk->device));
    disk->names = other_names(udev, number);

    g_autofree char *devices = g_build_filename(sysfs, "dev/block", NULL);
    g_autofree char *kernel_name = link_end(devices, number);
    if (kernel_name == NULL)
        return;
    g_autofree char *device = g_build_filename(devices, number, NULL);
    g_autofree char *whole = whole_disk(device);
    disk->transport = transport_of(kernel_name, whole);
    disk->wwid = read_line(whole, "wwid");
    if (disk->wwid == NULL)
        disk->wwid = read_line(whole, "device/wwid");

    g_autoptr(GPtrArray) ancestors = g_ptr_array_new_with_free_func(g_free);
    add_ancestors(ancestors, device, 0);
    if (ancestors->len == 0)
        return;
    g_ptr_array_add(ancestors, NULL);
    disk->ancestors = (char **)g_ptr_array_free(g_steal_pointer(&ancestors), FALSE);
}
