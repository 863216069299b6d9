#pragma once

#include "core/internal.h"

/** DlkLocked: what a worker brings back from taking a lock. */
typedef struct {
    DlkHold *hold;
    int folder_watch;
} DlkLocked;

/**
 * dlk_lock_job_choose_backend: @backend, or, where it cannot lock such a disk at all, @fallback, if any.
 * %NULL: DLK_ERROR_UNSUPPORTED says why, or what else the first met. Worker thread; may block.
 */
DlkBackend *dlk_lock_job_choose_backend(const DlkTarget *target, const DlkRule *rule, DlkBackend *backend,
                                        DlkBackend *fallback, GError **error);

/**
 * dlk_lock_job_run: takes the lock of @lease on @target in a worker: first choice @backend, and where that
 * one cannot lock such a disk, @fallback, if any. What a hanging storage grants after the deadline is given
 * back by the worker.
 */
void dlk_lock_job_run(DlkEngine *engine, const DlkLease *lease, DlkTarget *target, DlkBackend *backend,
                      DlkBackend *fallback, GAsyncReadyCallback callback, gpointer user_data);
/** FALSE: DLK_ERROR_BUSY, DLK_ERROR_UNREACHABLE, DLK_ERROR_UNSUPPORTED, DLK_ERROR_BACKEND_FAILED. */
gboolean dlk_lock_job_finish(DlkEngine *engine, GAsyncResult *result, DlkLocked *locked, GError **error);

/** Gives @hold (taken over) back in a worker; nobody waits. */
void dlk_lock_job_undo(DlkEngine *engine, DlkHold *hold);
/** Lets go of @target (taken over) in a worker: closing its descriptors may block. */
void dlk_lock_job_drop_target(DlkEngine *engine, DlkTarget *target);
/** Lets go of a reference to a hold (taken over) in a worker; unlocks nothing that others still hold. */
void dlk_lock_job_drop_hold(DlkEngine *engine, DlkHold *hold);
