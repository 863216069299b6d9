#pragma once

#include "core/engine.h"
#include "host/caller.h"

#include <gio/gio.h>

/**
 * DlkLostCallers: whose leases end with their connections, and who was on this same bus before this
 * connection of the service: the bus is asked until it has said of each of them whether they still are. Their
 * leases stand until then.
 */
typedef struct _DlkLostCallers DlkLostCallers;

/** Asks at once; the engine hears the answers. All three are borrowed, and must be there until the end. */
DlkLostCallers *dlk_lost_callers_new(DlkEngine *engine, GDBusConnection *connection, DlkCallers *callers);
void dlk_lost_callers_free(DlkLostCallers *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkLostCallers, dlk_lost_callers_free)
