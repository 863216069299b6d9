#pragma once

#include "core/internal.h"

/**
 * DlkProcess: what the engine keeps of a process that leases are for, one for all of them: when it ends they
 * end, and when one breaks it is stopped.
 */
typedef struct _DlkProcess DlkProcess;

/** @lease's end depends from now on on that of its process, whose reference becomes that of all its leases;
 * FALSE: that cannot be watched. */
gboolean dlk_process_watch(DlkEngine *engine, DlkLease *lease, GError **error);
/** @lease's end no longer depends on that of @process, which may be %NULL. */
void dlk_process_unwatch(DlkEngine *engine, DlkLease *lease, DlkPidRef *process);

/**
 * Looks from now on whether the process of @lease, which was sent SIGSTOP, has come to a stand, and calls
 * dlk_action_go_on() when it has, or resists. Both at the earliest from the main loop.
 */
void dlk_process_await_stop(DlkLease *lease);
/** May the process of @lease have something under way on a storage that does not answer? */
gboolean dlk_process_may_wait(const DlkLease *lease);
/** Does the process of @lease stand still, by whomever it was stopped, or is it being stopped? */
gboolean dlk_process_is_stopped(const DlkLease *lease);

/** Sets up what the engine keeps of processes. */
void dlk_process_init_engine(DlkEngine *engine);
