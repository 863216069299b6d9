#pragma once

#include "core/internal.h"

/** How many leases one job asks after at most. */
#define DLK_CHECK_BATCH 256

/** DlkChecked: what is known of one hold after a job. */
typedef struct {
    DlkCheck answer;
    char *reason; /* for LOST and UNKNOWN */
} DlkChecked;

/**
 * dlk_check_job_run: asks the backends about @holds (array of DlkHold of one lane, taken over), one after the
 * other. Where the storage hangs on one of them, another worker asks about those behind it, from half of
 * @unreachable_after (µs) on. What has no answer at its end is UNKNOWN.
 */
void dlk_check_job_run(DlkEngine *engine, GPtrArray *holds, gint64 unreachable_after,
                       GAsyncReadyCallback callback, gpointer user_data);
/** One DlkChecked a hold, in their order; transfer full. */
GArray *dlk_check_job_finish(DlkEngine *engine, GAsyncResult *result);
