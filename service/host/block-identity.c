#include "host/block-identity.h"

#include "backend/loop-device.h"
#include "base/error.h"

#include <string.h>
#include <sys/sysmacros.h>

/* Devices stacked on devices: deeper than anybody builds them. */
#define MAX_DEPTH 8
#define MAX_ANCESTORS 256
#define UUID_LENGTH 32 /* of a volume group or a logical volume */

/* Asking what devices are. */
typedef struct {
    const DlkDevices *devices;
    gboolean unreachable; /* one of them could not be asked */
} Lookup;

static char *identity(Lookup *lookup, const char *folder, guint depth);

char *
dlk_file_identity(dev_t device, ino_t inode)
{
    return g_strdup_printf("file:%u:%u:%" G_GUINT64_FORMAT, major(device), minor(device), (guint64)inode);
}

static char *
by_number(const char *folder)
{
    dev_t device = 0;
    (void)dlk_sysfs_block_device(folder, &device);
    return g_strdup_printf("block:%u:%u", major(device), minor(device));
}

/* As sysfs writes it, but for the blanks that pad vendor and model, and for slashes, which have a meaning in
 * an id. */
static char *
wwid_id(const char *wwid)
{
    GString *id = g_string_new("wwid:");
    for (const char *c = wwid; *c != '\0'; c++)
        if (*c != ' ' && *c != '/')
            g_string_append_c(id, *c);
        else if (id->str[id->len - 1] != '_')
            g_string_append_c(id, '_');
    return g_string_free(id, FALSE);
}

/* multipathd names maps as scsi_id does: '3' before a NAA identifier, '2' before an EUI-64 one. */
static char *
multipath_id_by_name(const char *name)
{
    const char *type = name[0] == '3' ? "naa." : name[0] == '2' ? "eui." : NULL;
    gboolean hex =
        type != NULL && name[1] != '\0' && name[1 + strspn(name + 1, "0123456789abcdefABCDEF")] == '\0';
    return hex ? g_strconcat("wwid:", type, name + 1, NULL) : wwid_id(name);
}

/* Its paths know best, and know the same with and without a map above them. */
static char *
multipath_id(const char *map, const char *name)
{
    g_autoptr(GPtrArray) paths = dlk_sysfs_block_links(map, "slaves");
    for (guint i = 0; i < paths->len; i++) {
        g_autofree char *wwid = dlk_sysfs_block_wwid(paths->pdata[i]);
        if (wwid != NULL)
            return wwid_id(wwid);
    }
    return multipath_id_by_name(name);
}

/* "LVM-" and the UUIDs of group and volume without their dashes, and for a hidden layer its name behind. */
static char *
lvm_id(const char *uuid)
{
    static const guint group[] = {6, 4, 4, 4, 4, 4, 6};
    const char *volume = uuid + strlen("LVM-") + UUID_LENGTH;
    GString *id = g_string_new("lvm:");
    for (guint i = 0; i < G_N_ELEMENTS(group); volume += group[i], i++) {
        g_string_append_len(id, volume, group[i]);
        g_string_append_c(id, '-');
    }
    g_string_truncate(id, id->len - 1);
    g_string_append(id, volume);
    return g_string_free(id, FALSE);
}

static char *
partition_id(const char *whole, const char *number)
{
    return g_strdup_printf("%s/part%s", whole, number);
}

static gboolean
is_lasting(const char *id)
{
    return !g_str_has_prefix(id, "block:");
}

/* kpartx makes partitions of mapped devices: "part1-" and the UUID of the device below. */
static char *
mapped_partition_id(Lookup *lookup, const char *folder, const char *uuid, guint depth)
{
    size_t digits = strspn(uuid + strlen("part"), "0123456789");
    const char *end = uuid + strlen("part") + digits;
    g_autoptr(GPtrArray) below = dlk_sysfs_block_links(folder, "slaves");
    if (digits == 0 || *end != '-' || below->len != 1)
        return NULL;
    g_autofree char *whole = identity(lookup, below->pdata[0], depth + 1);
    g_autofree char *number = g_strndup(uuid + strlen("part"), digits);
    return is_lasting(whole) ? partition_id(whole, number) : NULL;
}

static char *
mapped_id(Lookup *lookup, const char *folder, guint depth)
{
    g_autofree char *uuid = dlk_sysfs_block_read(folder, "dm/uuid");
    char *id = NULL;
    if (uuid == NULL)
        return NULL;
    if (g_str_has_prefix(uuid, "LVM-") && strlen(uuid) >= strlen("LVM-") + 2 * UUID_LENGTH)
        return lvm_id(uuid);
    if (g_str_has_prefix(uuid, "mpath-"))
        return multipath_id(folder, uuid + strlen("mpath-"));
    if (g_str_has_prefix(uuid, "part"))
        id = mapped_partition_id(lookup, folder, uuid, depth);
    return id != NULL ? id : g_strconcat("dm:", uuid, NULL);
}

/* The value of "E:KEY=…" in udev's database. */
static char *
udev_property(Lookup *lookup, const char *folder, const char *key)
{
    dev_t device = 0;
    if (!dlk_sysfs_block_device(folder, &device))
        return NULL;
    g_autofree char *path =
        g_strdup_printf("%s/data/b%u:%u", lookup->devices->udev, major(device), minor(device));
    g_autofree char *line_start = g_strdup_printf("E:%s=", key);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i] != NULL; i++)
        if (g_str_has_prefix(lines[i], line_start))
            return g_strdup(lines[i] + strlen(line_start));
    return NULL;
}

/* The kernel writes the UUID as 8-4-4-4-12 digits, mdadm as four groups of eight. */
static char *
raid_id(Lookup *lookup, const char *folder)
{
    g_autofree char *uuid = dlk_sysfs_block_read(folder, "md/uuid");
    if (uuid == NULL)
        uuid = udev_property(lookup, folder, "MD_UUID");
    GString *id = g_string_new("md:");
    for (const char *c = uuid != NULL ? uuid : ""; *c != '\0'; c++)
        if (g_ascii_isxdigit(*c))
            g_string_append_c(id, g_ascii_tolower(*c));
    gboolean whole = id->len == strlen("md:") + 32;
    char *text = g_string_free(id, FALSE);
    if (!whole)
        g_clear_pointer(&text, g_free);
    return text;
}

/* Another multipath map may name a path that says nothing of itself. */
static char *
disk_id(const char *folder)
{
    g_autofree char *wwid = dlk_sysfs_block_wwid(folder);
    if (wwid != NULL)
        return wwid_id(wwid);
    g_autofree char *map = dlk_sysfs_block_multipath(folder);
    g_autofree char *uuid = map != NULL ? dlk_sysfs_block_read(map, "dm/uuid") : NULL;
    return uuid != NULL ? multipath_id(map, uuid + strlen("mpath-")) : NULL;
}

static gboolean
ask_loop(Lookup *lookup, const char *folder, DlkLoopBacking *backing)
{
    const DlkLoopState state = dlk_loop_device_ask(lookup->devices, folder, backing);
    lookup->unreachable = lookup->unreachable || state == DLK_LOOP_UNREACHABLE;
    return state == DLK_LOOP_SET_UP;
}

/* A loop device may be set up on a block device as well. */
static char *
loop_id(Lookup *lookup, const DlkLoopBacking *backing, guint depth)
{
    if (backing->node_of == 0) {
        g_autofree char *file = dlk_file_identity(backing->device, backing->inode);
        return g_strconcat("loop:", file + strlen("file:"), NULL);
    }
    g_autofree char *below = dlk_sysfs_block_folder(lookup->devices, backing->node_of);
    g_autofree char *id = below != NULL && depth < MAX_DEPTH ? identity(lookup, below, depth + 1) : NULL;
    return id != NULL ? g_strconcat("loop:", id, NULL) : NULL;
}

static char *
loop_range_id(const char *whole, const DlkLoopBacking *backing)
{
    if (backing->offset == 0 && backing->size == 0)
        return g_strdup(whole);
    return g_strdup_printf("%s@%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT, whole, backing->offset,
                           backing->size);
}

static char *
whole_id(Lookup *lookup, const char *folder, guint depth)
{
    DlkLoopBacking backing;
    if (ask_loop(lookup, folder, &backing)) {
        g_autofree char *loop = loop_id(lookup, &backing, depth);
        return loop != NULL ? loop_range_id(loop, &backing) : NULL;
    }
    char *id = mapped_id(lookup, folder, depth);
    if (id == NULL)
        id = raid_id(lookup, folder);
    return id != NULL ? id : disk_id(folder);
}

static char *
identity(Lookup *lookup, const char *folder, guint depth)
{
    char *id = NULL;
    g_autofree char *whole = depth < MAX_DEPTH ? dlk_sysfs_block_whole(folder) : NULL;
    if (whole != NULL) {
        g_autofree char *number = dlk_sysfs_block_read(folder, "partition");
        g_autofree char *disk = identity(lookup, whole, depth + 1);
        id = number != NULL && is_lasting(disk) ? partition_id(disk, number) : NULL;
    } else if (depth < MAX_DEPTH) {
        id = whole_id(lookup, folder, depth);
    }
    return id != NULL ? id : by_number(folder);
}

/* Half an identity would be another one than the whole: none is given. */
static gboolean
check_reached(const Lookup *lookup, const char *folder, GError **error)
{
    g_autofree char *name = g_path_get_basename(folder);
    if (lookup->unreachable)
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
                    "a loop device behind %s cannot be asked for its file: it has no node in /dev, or the "
                    "storage of the file does not answer",
                    name);
    return !lookup->unreachable;
}

char *
dlk_block_identity(const DlkDevices *devices, const char *folder, GError **error)
{
    Lookup lookup = {.devices = devices};
    g_autofree char *id = identity(&lookup, folder, 0);
    return check_reached(&lookup, folder, error) ? g_steal_pointer(&id) : NULL;
}

/* Collecting ancestors: whose, and which so far. */
typedef struct {
    Lookup *lookup;
    const char *own;
    GPtrArray *ids;
} Family;

static void collect(Family *family, const char *folder, guint depth);

/* Takes @id. The paths of a multipath map have the map's own id: nothing is its own ancestor. */
static void
add_id(Family *family, char *id)
{
    if (family->ids->len >= MAX_ANCESTORS || g_str_equal(id, family->own) ||
        g_ptr_array_find_with_equal_func(family->ids, id, g_str_equal, NULL))
        g_free(id);
    else
        g_ptr_array_add(family->ids, id);
}

static void
add_device(Family *family, const char *folder, guint depth)
{
    add_id(family, identity(family->lookup, folder, 0));
    if (depth < MAX_DEPTH)
        collect(family, folder, depth + 1);
}

/* Two loop devices that show different parts of one file have the file in common; one that shows all of it
 * overlaps both. */
static void
add_backing(Family *family, const DlkLoopBacking *backing, guint depth)
{
    char *whole = loop_id(family->lookup, backing, 0);
    if (whole != NULL)
        add_id(family, whole);
    if (backing->node_of == 0) {
        add_id(family, dlk_file_identity(backing->device, backing->inode));
        return;
    }
    g_autofree char *below = dlk_sysfs_block_folder(family->lookup->devices, backing->node_of);
    if (below != NULL)
        add_device(family, below, depth);
}

static void
collect(Family *family, const char *folder, guint depth)
{
    DlkLoopBacking backing;
    g_autofree char *whole = dlk_sysfs_block_whole(folder);
    if (whole != NULL) {
        add_device(family, whole, depth);
        return;
    }
    if (ask_loop(family->lookup, folder, &backing))
        add_backing(family, &backing, depth);
    g_autoptr(GPtrArray) below = dlk_sysfs_block_links(folder, "slaves");
    for (guint i = 0; i < below->len; i++)
        add_device(family, below->pdata[i], depth);
}

GPtrArray *
dlk_block_identity_ancestors(const DlkDevices *devices, const char *folder, const char *id, GError **error)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    Lookup lookup = {.devices = devices};
    Family family = {&lookup, id, ids};
    collect(&family, folder, 0);
    return check_reached(&lookup, folder, error) ? g_steal_pointer(&ids) : NULL;
}
