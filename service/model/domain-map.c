#include "model/domain-map.h"

typedef struct {
    guint parts;
    const char *type; /* %NULL: any */
    guint traits;     /* all of them */
    DlkMapAnswer answer;
    DlkMode mode;
    const char *reason;
} Row;

#define IMAGES (DLK_PART_DISK | DLK_PART_BACKING | DLK_PART_MIRROR)
#define TAKE(mode) DLK_MAP_TAKE, DLK_MODE_##mode, NULL
#define SKIP DLK_MAP_SKIP, DLK_MODE_READ_ONLY, NULL
#define REFUSE(reason) DLK_MAP_REFUSE, DLK_MODE_READ_ONLY, reason

/* The first row that fits decides. docs/domains.md has the same table. */
static const Row rows[] = {
    /* clang-format off */
    {DLK_PART_DISK, NULL, DLK_TRAIT_EMPTY | DLK_TRAIT_REMOVABLE, SKIP},
    {IMAGES, NULL, DLK_TRAIT_EMPTY, REFUSE("names no source")},
    {IMAGES, "volume", 0, REFUSE("is a volume of a storage pool, which libvirt alone can find: "
                                 "name the path that `virsh vol-path` prints instead")},
    {DLK_PART_DISK, "dir", DLK_TRAIT_CDROM, SKIP},
    {DLK_PART_DISK, "dir", DLK_TRAIT_READONLY, SKIP},
    {IMAGES, "dir", 0, REFUSE("is a folder, which cannot be locked: QEMU reads it safely only as a <readonly/> disk")},
    {DLK_PART_DISK, NULL, DLK_TRAIT_CDROM, TAKE(READ_ONLY)},
    {DLK_PART_DISK, NULL, DLK_TRAIT_READONLY, TAKE(READ_ONLY)},
    {DLK_PART_DISK, NULL, DLK_TRAIT_SHARED_BACKING, TAKE(READ_ONLY)},
    {DLK_PART_DISK, NULL, DLK_TRAIT_SHAREABLE, TAKE(SHARED)},
    {DLK_PART_DISK, NULL, 0, TAKE(EXCLUSIVE)},
    {DLK_PART_BACKING, NULL, DLK_TRAIT_COMMIT, TAKE(EXCLUSIVE)},
    {DLK_PART_BACKING, NULL, 0, TAKE(READ_ONLY)},
    {DLK_PART_MIRROR, NULL, 0, TAKE(EXCLUSIVE)},
    {DLK_PART_LOADER, NULL, DLK_TRAIT_WRITABLE, TAKE(EXCLUSIVE)},
    {DLK_PART_LOADER, NULL, 0, TAKE(READ_ONLY)},
    {DLK_PART_NVRAM, "volume", 0, REFUSE("is a volume of a storage pool, which libvirt alone can find: "
                                         "name the path that `virsh vol-path` prints instead")},
    {DLK_PART_NVRAM, "dir", 0, REFUSE("is a folder")},
    {DLK_PART_NVRAM, NULL, 0, TAKE(EXCLUSIVE)},
    {DLK_PART_TEMPLATE, NULL, 0, TAKE(READ_ONLY)},
    {DLK_PART_TPM, NULL, 0, TAKE(EXCLUSIVE)},
    {DLK_PART_LEASE, NULL, 0, TAKE(EXCLUSIVE)},
    {DLK_PART_HOSTDEV | DLK_PART_MEMORY, NULL, DLK_TRAIT_READONLY, TAKE(READ_ONLY)},
    {DLK_PART_HOSTDEV, NULL, DLK_TRAIT_SHAREABLE, TAKE(SHARED)},
    {DLK_PART_HOSTDEV | DLK_PART_MEMORY, NULL, 0, TAKE(EXCLUSIVE)},
    /* clang-format on */
};

static gboolean
fits(const Row *row, DlkDomainPart part, const char *type, guint traits)
{
    return row->parts & part && (!row->type || g_str_equal(row->type, type)) &&
           (row->traits & traits) == row->traits;
}

DlkMapAnswer
dlk_domain_map(DlkDomainPart part, const char *type, guint traits, DlkMode *mode, const char **reason)
{
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (fits(&rows[i], part, type, traits)) {
            *mode = rows[i].mode;
            *reason = rows[i].reason;
            return rows[i].answer;
        }
    }
    *reason = "is nothing that this service knows how to lock";
    return DLK_MAP_REFUSE;
}
