#include "backend/sysfs-block.h"

#include "base/fd.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MAX_TEXT 256
/* More partitions, holders or paths than any device has. */
#define MAX_FOLDERS 512

const DlkDevices dlk_devices = {"/sys", "/run/udev", "/dev"};

/* As realpath(3), with memory that GLib frees. */
static char *
without_links(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = g_strdup(real);
    free(real);
    return copy;
}

char *
dlk_sysfs_block_folder(const DlkDevices *devices, dev_t device)
{
    g_autofree char *path =
        g_strdup_printf("%s/dev/block/%u:%u", devices->sysfs, major(device), minor(device));
    return without_links(path);
}

char *
dlk_sysfs_block_by_name(const DlkDevices *devices, const char *name)
{
    g_autofree char *path = g_build_filename(devices->sysfs, "block", name, NULL);
    return without_links(path);
}

char *
dlk_sysfs_block_read(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL) || g_strstrip(text)[0] == '\0')
        return NULL;
    return dlk_text_printable(text, MAX_TEXT);
}

gboolean
dlk_sysfs_block_device(const char *folder, dev_t *device)
{
    g_autofree char *text = dlk_sysfs_block_read(folder, "dev");
    g_auto(GStrv) numbers = g_strsplit(text != NULL ? text : "", ":", 2);
    guint64 major_number = 0, minor_number = 0;
    if (g_strv_length(numbers) != 2 ||
        !g_ascii_string_to_unsigned(numbers[0], 10, 0, G_MAXUINT32, &major_number, NULL) ||
        !g_ascii_string_to_unsigned(numbers[1], 10, 0, G_MAXUINT32, &minor_number, NULL))
        return FALSE;
    *device = makedev((guint)major_number, (guint)minor_number);
    return TRUE;
}

/* Where sysfs has to replace a slash in a node's name it writes an exclamation mark. */
static char *
node_by_kernel_name(const DlkDevices *devices, const char *folder)
{
    g_autofree char *name = g_path_get_basename(folder);
    g_strdelimit(name, "!", '/');
    return g_build_filename(devices->dev, name, NULL);
}

char *
dlk_sysfs_block_node(const DlkDevices *devices, const char *folder)
{
    g_autofree char *mapped = dlk_sysfs_block_read(folder, "dm/name");
    if (mapped != NULL)
        return g_build_filename(devices->dev, "mapper", mapped, NULL);
    return node_by_kernel_name(devices, folder);
}

static gboolean
has(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

char *
dlk_sysfs_block_whole(const char *folder)
{
    return has(folder, "partition") ? g_path_get_dirname(folder) : NULL;
}

typedef gboolean (*Filter)(const char *folder);

static gboolean
is_partition(const char *folder)
{
    return has(folder, "partition");
}

static int
compare_paths(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted: what is said of a device must not depend on the order in which the kernel lists others. */
static GPtrArray *
folders_in(const char *folder, Filter wanted)
{
    GPtrArray *folders = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) entries = g_dir_open(folder, 0, NULL);
    for (const char *name = entries != NULL ? g_dir_read_name(entries) : NULL;
         name != NULL && folders->len < MAX_FOLDERS; name = g_dir_read_name(entries)) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *real = wanted == NULL || wanted(path) ? without_links(path) : NULL;
        if (real != NULL)
            g_ptr_array_add(folders, g_steal_pointer(&real));
    }
    g_ptr_array_sort(folders, compare_paths);
    return folders;
}

GPtrArray *
dlk_sysfs_block_partitions(const char *folder)
{
    return folders_in(folder, is_partition);
}

GPtrArray *
dlk_sysfs_block_links(const char *folder, const char *link)
{
    g_autofree char *path = g_build_filename(folder, link, NULL);
    return folders_in(path, NULL);
}

char *
dlk_sysfs_block_multipath(const char *folder)
{
    g_autoptr(GPtrArray) holders = dlk_sysfs_block_links(folder, "holders");
    for (guint i = 0; i < holders->len; i++) {
        g_autofree char *uuid = dlk_sysfs_block_read(holders->pdata[i], "dm/uuid");
        if (uuid != NULL && g_str_has_prefix(uuid, "mpath-"))
            return g_strdup(holders->pdata[i]);
    }
    return NULL;
}

/* A namespace of NVMe has it here, a SCSI disk there. */
char *
dlk_sysfs_block_wwid(const char *folder)
{
    char *wwid = dlk_sysfs_block_read(folder, "wwid");
    return wwid != NULL ? wwid : dlk_sysfs_block_read(folder, "device/wwid");
}

GPtrArray *
dlk_sysfs_block_same_wwid(const DlkDevices *devices, const char *folder)
{
    GPtrArray *same = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *wwid = dlk_sysfs_block_wwid(folder);
    g_autofree char *path = g_build_filename(devices->sysfs, "block", NULL);
    g_autoptr(GPtrArray) disks = wwid != NULL ? folders_in(path, NULL) : NULL;
    g_ptr_array_add(same, g_strdup(folder));
    for (guint i = 0; disks != NULL && i < disks->len; i++) {
        dev_t device = 0;
        g_autofree char *other = dlk_sysfs_block_wwid(disks->pdata[i]);
        if (g_strcmp0(other, wwid) == 0 && strcmp(disks->pdata[i], folder) != 0 &&
            dlk_sysfs_block_device(disks->pdata[i], &device)) /* a hidden path of NVMe's own has no number */
            g_ptr_array_add(same, g_strdup(disks->pdata[i]));
    }
    return same;
}

int
dlk_sysfs_block_open(const DlkDevices *devices, const char *folder)
{
    dev_t device = 0;
    struct stat status;
    g_autofree char *node = node_by_kernel_name(devices, folder);
    /* First without opening: another kind of node there may do anything when it is opened. */
    dlk_autofd place = open(node, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0 || fstat(place, &status) < 0 || !dlk_sysfs_block_device(folder, &device) ||
        !S_ISBLK(status.st_mode) || status.st_rdev != device)
        return -1;
    return dlk_fd_reopen(place, O_RDONLY);
}
