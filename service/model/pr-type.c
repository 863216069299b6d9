#include "model/pr-type.h"

static const struct {
    guint8 scsi;
    const char *name;
} types[DLK_PR_N_TYPES] = {
    [DLK_PR_NONE] = {0, "none"},
    [DLK_PR_WRITE_EXCLUSIVE] = {1, "write-exclusive"},
    [DLK_PR_EXCLUSIVE_ACCESS] = {3, "exclusive-access"},
    [DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS] = {5, "write-exclusive-registrants-only"},
    [DLK_PR_EXCLUSIVE_ACCESS_REGISTRANTS] = {6, "exclusive-access-registrants-only"},
    [DLK_PR_WRITE_EXCLUSIVE_ALL] = {7, "write-exclusive-all-registrants"},
    [DLK_PR_EXCLUSIVE_ACCESS_ALL] = {8, "exclusive-access-all-registrants"},
};

DlkPrType
dlk_pr_type_for(DlkMode mode, gboolean strict)
{
    switch (mode) {
    case DLK_MODE_EXCLUSIVE:
        return strict ? DLK_PR_EXCLUSIVE_ACCESS_REGISTRANTS : DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS;
    case DLK_MODE_SHARED:
        return strict ? DLK_PR_EXCLUSIVE_ACCESS_ALL : DLK_PR_WRITE_EXCLUSIVE_ALL;
    case DLK_MODE_READ_ONLY:
    case DLK_N_MODES:
        break;
    }
    return DLK_PR_NONE;
}

DlkPrType
dlk_pr_type_from_scsi(guint8 code)
{
    for (guint type = DLK_PR_NONE + 1; type < DLK_PR_N_TYPES; type++)
        if (types[type].scsi == code)
            return type;
    return DLK_PR_NONE;
}

const char *
dlk_pr_type_to_string(DlkPrType type)
{
    return types[type].name;
}

gboolean
dlk_pr_type_is_all(DlkPrType type)
{
    return type == DLK_PR_WRITE_EXCLUSIVE_ALL || type == DLK_PR_EXCLUSIVE_ACCESS_ALL;
}
