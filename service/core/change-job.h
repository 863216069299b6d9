#pragma once

#include "core/internal.h"

typedef enum {
    DLK_CHANGE_CONVERT,
    DLK_CHANGE_SUSPEND,
    DLK_CHANGE_RESUME,
} DlkChangeKind;

/**
 * dlk_change_job_run: changes the lock of @lease, which is held, in a worker. @mode: that it is converted to.
 * What a hanging storage does after @deadline (monotonic µs; %G_MAXINT64: none) is undone by the worker: a
 * lock that was taken again is given back, a conversion goes back to the mode before.
 */
void dlk_change_job_run(DlkEngine *engine, DlkChangeKind kind, const DlkLease *lease, DlkMode mode,
                        gint64 deadline, GAsyncReadyCallback callback, gpointer user_data);
/** FALSE: DLK_ERROR_UNREACHABLE, or what the backend says. */
gboolean dlk_change_job_finish(DlkEngine *engine, GAsyncResult *result, GError **error);
