#pragma once

#include "core/request.h"
#include "host/polkit.h"
#include "model/table.h"

#include <gio/gio.h>

/**
 * DlkEngine: all state of the service: table, policy, leases and what watches them. Main thread only; nothing
 * else changes the table.
 *
 * Signals, for the bus to pass on; each has the lease (a DlkLease pointer) as its first argument:
 * `acquired`, `released`, `at-risk` (reason), `restored`, `broken` (reason), `changed` (a property of a held
 * lease), and `policy-changed` without arguments.
 */
#define DLK_TYPE_ENGINE dlk_engine_get_type()
G_DECLARE_FINAL_TYPE(DlkEngine, dlk_engine, DLK, ENGINE, GObject)

/**
 * dlk_engine_new: reads the policy and opens what the service watches.
 * @runtime_dir: exists and is writable. @config_file: the whole policy, or %NULL for the system's.
 * Errors: DLK_ERROR_BAD_POLICY, DLK_ERROR_BACKEND_FAILED.
 */
DlkEngine *dlk_engine_new(const char *runtime_dir, const char *config_file, GError **error);

/**
 * dlk_engine_recover_async: once, before anything else: takes up the leases of an earlier run, by the journal
 * in the runtime folder and by the descriptors that systemd has kept. The answer comes when each of them is
 * known to be held, broken or at risk; it comes also where the storage hangs. FALSE with
 * DLK_ERROR_BACKEND_FAILED: there is no room to take them up (descriptors, memory): everything is left to the
 * next start, and the engine is of no use.
 */
void dlk_engine_recover_async(DlkEngine *engine, GAsyncReadyCallback callback, gpointer user_data);
gboolean dlk_engine_recover_finish(DlkEngine *engine, GAsyncResult *result, GError **error);

/** The way to polkit, which comes and goes with the bus; %NULL: every question is answered no. Borrowed until
 * replaced. */
void dlk_engine_set_polkit(DlkEngine *self, DlkPolkit *polkit);

/** Frees @data with @free_data in a worker, in @lane (host/pool.h), because that may block. */
void dlk_engine_drop(DlkEngine *self, gpointer data, GDestroyNotify free_data, const char *lane);

const char *dlk_engine_host_id(DlkEngine *self);
const DlkLimits *dlk_engine_limits(DlkEngine *self);
guint64 dlk_engine_policy_generation(DlkEngine *self);
DlkTable *dlk_engine_table(DlkEngine *self);

/** Reads the policy again; a bad one is refused whole (DLK_ERROR_BAD_POLICY) and the old one stays. */
gboolean dlk_engine_reload(DlkEngine *self, GError **error);

/**
 * dlk_engine_acquire_async: takes every disk of @request (taken over), or none. The request must have been
 * authorised. It is dropped when its caller leaves the bus.
 */
void dlk_engine_acquire_async(DlkEngine *engine, DlkRequest *request, GAsyncReadyCallback callback,
                              gpointer user_data);
/**
 * The leases, in the order of the request, transfer container and elements. @keep_fd (out): for a request
 * with `keep` the descriptor whose last copy holds the leases, otherwise -1.
 */
GPtrArray *dlk_engine_acquire_finish(DlkEngine *engine, GAsyncResult *result, int *keep_fd, GError **error);

/** How a release went: @error (transfer full) or %NULL. */
typedef void (*DlkReleasedFunc)(GError *error, gpointer user_data);
/**
 * dlk_engine_release_by: ends @lease, which is on the bus. It leaves the bus at once; @answer is called once,
 * before this returns where nothing can block, when its lock is gone, or with DLK_ERROR_UNREACHABLE when the
 * storage takes longer than the rule allows; it then goes as soon as the storage answers, and keeps others
 * out until then. A broken lease whose on-break action is under way is answered at once, and leaves the bus
 * when that is over. @by: who releases it; for the journal if it is not the lease's own user.
 */
void dlk_engine_release_by(DlkEngine *self, DlkLease *lease, const DlkCaller *by, DlkReleasedFunc answer,
                           gpointer user_data);
/** As above, when nobody waits for the answer. @why: for the journal: "its process ended". */
void dlk_engine_release(DlkEngine *self, DlkLease *lease, const char *why);

/** Asks the backend now. A storage that does not answer is an answer too: at risk. */
void dlk_engine_check_async(DlkEngine *self, DlkLease *lease, GAsyncReadyCallback callback,
                            gpointer user_data);
DlkLeaseState dlk_engine_check_finish(DlkEngine *self, GAsyncResult *result);

/**
 * Convert, Suspend and Resume. DLK_ERROR_BUSY: somebody is in the way, or another change of this lease is
 * under way; DLK_ERROR_LEASE_LOST: the lease is broken; DLK_ERROR_POLICY_DENIED, DLK_ERROR_UNREACHABLE,
 * DLK_ERROR_BACKEND_FAILED.
 */
void dlk_engine_convert_async(DlkEngine *self, DlkLease *lease, DlkMode mode, DlkCaller *caller,
                              GAsyncReadyCallback callback, gpointer user_data);
void dlk_engine_suspend_async(DlkEngine *self, DlkLease *lease, GAsyncReadyCallback callback,
                              gpointer user_data);
void dlk_engine_resume_async(DlkEngine *self, DlkLease *lease, DlkCaller *caller,
                             GAsyncReadyCallback callback, gpointer user_data);
gboolean dlk_engine_change_finish(DlkEngine *self, GAsyncResult *result, GError **error);

/**
 * dlk_engine_watch_progress: calls @alive about every @interval (µs), and at most twice that apart, as long
 * as the service does its work: its main loop, its threads and its monitor. Storage that hangs does not count
 * against it.
 */
void dlk_engine_watch_progress(DlkEngine *self, gint64 interval, GSourceOnceFunc alive, gpointer user_data);
/** Before the engine is given up. */
void dlk_engine_unwatch_progress(DlkEngine *self);

/** @by, an administrator, revokes @lease: its on-break action runs and its lock is given up.
 * DLK_ERROR_LEASE_LOST where it is broken already. */
gboolean dlk_engine_break(DlkEngine *self, DlkLease *lease, const DlkCaller *by, const char *reason,
                          GError **error);

/**
 * dlk_engine_fence_async: removes what another host holds of a disk. The caller must have been authorised for
 * the path; polkit is asked again for the disk that it leads to. @fencing is copied. DLK_ERROR_UNSUPPORTED:
 * it cannot be done from here, and the message says what has to be done where; DLK_ERROR_UNREACHABLE: the
 * storage does not answer; it may be done all the same when it does.
 */
void dlk_engine_fence_async(DlkEngine *self, const DlkFencing *fencing, GAsyncReadyCallback callback,
                            gpointer user_data);
/** @removed (out): how many holds went. */
gboolean dlk_engine_fence_finish(DlkEngine *self, GAsyncResult *result, guint *removed, GError **error);

/** What a path is and who has it: a{sv} as the contract lists it. The caller must have been authorised for
 * the path; polkit is asked again for the disk that it leads to. @inspecting is copied. */
void dlk_engine_inspect_async(DlkEngine *self, const DlkInspecting *inspecting, GAsyncReadyCallback callback,
                              gpointer user_data);
/** Transfer full, not floating. */
GVariant *dlk_engine_inspect_finish(DlkEngine *self, GAsyncResult *result, GError **error);

/**
 * dlk_engine_bus_joined: the service is on a bus. @bus_id: of the bus, new with each start of it: a name
 * means somebody on one bus alone. dlk_engine_lost_callers() says whom to ask it after.
 */
void dlk_engine_bus_joined(DlkEngine *self, const char *bus_id);
/**
 * dlk_engine_await_claims: calls can come from now on. `connection` leases of whoever was on another bus have
 * their rule's connection-grace from now on, until somebody claims them. Whoever was on this one can be asked
 * after: his leases wait for dlk_engine_caller_back() or dlk_engine_caller_gone().
 */
void dlk_engine_await_claims(DlkEngine *self);
/**
 * The bus is gone. A `connection` lease stays: nobody knows whether its owner is still at work, and he cannot
 * say so.
 */
void dlk_engine_bus_gone(DlkEngine *self);
/** The names on this bus of those of whom it is not known whether they are still there, and whose leases
 * nobody claimed; transfer full. */
GPtrArray *dlk_engine_lost_callers(DlkEngine *self);
/** @caller is still there: his leases end with him again. */
void dlk_engine_caller_back(DlkEngine *self, DlkCaller *caller);
/** The caller has left the bus: its `connection` leases end. */
void dlk_engine_caller_gone(DlkEngine *self, const char *bus_name);
/**
 * dlk_engine_claim: @lease, whose connection was lost, ends from now on with @caller's. DLK_ERROR_NOT_OWNER:
 * another uid's; DLK_ERROR_UNSUPPORTED: it ends with no connection; DLK_ERROR_BUSY: its connection is still
 * there; DLK_ERROR_LEASE_LOST: it is broken; DLK_ERROR_BACKEND_FAILED: it cannot be written down.
 */
gboolean dlk_engine_claim(DlkEngine *self, DlkLease *lease, DlkCaller *caller, GError **error);
