#pragma once

#include "base/pid-ref.h"

#include <gio/gio.h>

/**
 * DlkCaller: one connection on the bus: who it is, and whether it is still there. Reference-counted; main
 * thread.
 */
typedef struct {
    guint references;
    char *name; /* unique: ":1.42" */
    uid_t uid;
    DlkPidRef *process;  /* %NULL where the process could not be pinned (it ended, another pid namespace) */
    GRefString *command; /* its command name, printable */
    GCancellable *gone;  /* cancelled when the connection leaves the bus */
} DlkCaller;

DlkCaller *dlk_caller_ref(DlkCaller *self);
void dlk_caller_unref(DlkCaller *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkCaller, dlk_caller_unref)
gboolean dlk_caller_is_gone(const DlkCaller *self);

/**
 * DlkCallers: the callers by unique name: one GetConnectionCredentials each, cached until the name goes; one
 * NameOwnerChanged subscription for all. Main thread.
 */
typedef struct _DlkCallers DlkCallers;
/** @gone: called (may be %NULL) when a known caller has left the bus, after its `gone` was cancelled. */
typedef void (*DlkCallerGoneFunc)(DlkCaller *caller, gpointer user_data);

DlkCallers *dlk_callers_new(GDBusConnection *connection, DlkCallerGoneFunc gone, gpointer user_data);
/** Cancels `gone` of every caller: with the connection to the bus they are all gone. */
void dlk_callers_free(DlkCallers *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkCallers, dlk_callers_free)

/** The caller, if it is known already; borrowed. The fast path: no turn of the loop. */
DlkCaller *dlk_callers_peek(DlkCallers *self, const char *name);
/**
 * Asks the bus who @name is. Calls for one name under way share one question. Fails with
 * DLK_ERROR_NOT_AUTHORIZED where the bus does not say (the name is gone, no answer in 3 s).
 */
void dlk_callers_get_async(DlkCallers *self, const char *name, GAsyncReadyCallback callback,
                           gpointer user_data);
/** Transfer full. */
DlkCaller *dlk_callers_get_finish(DlkCallers *self, GAsyncResult *result, GError **error);
