#include "model/domain-map.h"

typedef struct {
    guint parts;
    guint traits;     /* all of them */
    const char *type; /* %NULL: any */
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
    {DLK_PART_DISK, DLK_TRAIT_EMPTY | DLK_TRAIT_REMOVABLE, NULL, SKIP},
    {IMAGES, DLK_TRAIT_EMPTY, NULL, REFUSE("names no source")},
    {DLK_PART_DISK, DLK_TRAIT_CDROM, "dir", SKIP},
    {DLK_PART_DISK, DLK_TRAIT_READONLY, "dir", SKIP},
    {IMAGES, 0, "dir", REFUSE("is a folder, which cannot be locked: QEMU reads it safely only as a <readonly/> disk")},
    {DLK_PART_DISK, DLK_TRAIT_CDROM, NULL, TAKE(READ_ONLY)},
    {DLK_PART_DISK, DLK_TRAIT_READONLY, NULL, TAKE(READ_ONLY)},
    {DLK_PART_DISK, DLK_TRAIT_SHARED_BACKING, NULL, TAKE(READ_ONLY)},
    {DLK_PART_DISK, DLK_TRAIT_SHAREABLE, NULL, TAKE(SHARED)},
    {DLK_PART_DISK, 0, NULL, TAKE(EXCLUSIVE)},
    {DLK_PART_BACKING, DLK_TRAIT_COMMIT, NULL, TAKE(EXCLUSIVE)},
    {DLK_PART_BACKING, 0, NULL, TAKE(READ_ONLY)},
    {DLK_PART_MIRROR, 0, NULL, TAKE(EXCLUSIVE)},
    {DLK_PART_LOADER, DLK_TRAIT_WRITABLE, NULL, TAKE(EXCLUSIVE)},
    {DLK_PART_LOADER, 0, NULL, TAKE(READ_ONLY)},
    {DLK_PART_NVRAM, 0, "dir", REFUSE("is a folder")},
    {DLK_PART_NVRAM, 0, NULL, TAKE(EXCLUSIVE)},
    {DLK_PART_TEMPLATE, 0, NULL, TAKE(READ_ONLY)},
    {DLK_PART_TPM, 0, NULL, TAKE(EXCLUSIVE)},
    {DLK_PART_LEASE, 0, NULL, TAKE(EXCLUSIVE)},
    {DLK_PART_HOSTDEV | DLK_PART_MEMORY, DLK_TRAIT_READONLY, NULL, TAKE(READ_ONLY)},
    {DLK_PART_HOSTDEV, DLK_TRAIT_SHAREABLE, NULL, TAKE(SHARED)},
    {DLK_PART_HOSTDEV | DLK_PART_MEMORY, 0, NULL, TAKE(EXCLUSIVE)},
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
