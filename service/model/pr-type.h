#pragma once

#include "model/mode.h"

/** DlkPrType: the types of persistent reservations, by the numbers of linux/pr.h, which NVMe has as well. */
typedef enum {
    DLK_PR_NONE,
    DLK_PR_WRITE_EXCLUSIVE,
    DLK_PR_EXCLUSIVE_ACCESS,
    DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS,
    DLK_PR_EXCLUSIVE_ACCESS_REGISTRANTS,
    DLK_PR_WRITE_EXCLUSIVE_ALL,
    DLK_PR_EXCLUSIVE_ACCESS_ALL,
    DLK_PR_N_TYPES
} DlkPrType;

/**
 * dlk_pr_type_for: the type that a lease in @mode takes, or DLK_PR_NONE where no reservation expresses it
 * (many readers and no writer). @strict: who has not registered must not read either.
 *
 * Never one of the first two, which bind to one path to the disk: half of the writes through two paths would
 * be refused.
 */
DlkPrType dlk_pr_type_for(DlkMode mode, gboolean strict);
/** By SCSI's number (SPC-4, table "Persistent reservation type codes"); DLK_PR_NONE: there is no such. */
DlkPrType dlk_pr_type_from_scsi(guint8 code);
/** "write-exclusive-registrants-only"; "none". Static. */
const char *dlk_pr_type_to_string(DlkPrType type);
/** Does every registrant hold it, and not only the one who reserved? */
gboolean dlk_pr_type_is_all(DlkPrType type);
