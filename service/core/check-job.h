#pragma once

#include "core/internal.h"

/** How many leases one job asks after at most. */
#define DLK_CHECK_BATCH 256

/** DlkChecked: what is known of one hold after a job. */
typedef struct {
    gboolean answered; /* FALSE: it is behind one that hangs; ask again */
    DlkCheck answer;
    char *reason; /* for LOST and UNKNOWN */
} DlkChecked;

/**
 * dlk_check_job_run: asks the backends about @holds (array of DlkHold of one lane, taken over), one after the
 * other. Where the storage hangs, the hold that it hangs on is UNKNOWN at the end of @unreachable_after (µs).
 */
void dlk_check_job_run(DlkEngine *engine, GPtrArray *holds, gint64 unreachable_after,
                       GAsyncReadyCallback callback, gpointer user_data);
/** One DlkChecked a hold, in their order; transfer full. */
GArray *dlk_check_job_finish(DlkEngine *engine, GAsyncResult *result);
