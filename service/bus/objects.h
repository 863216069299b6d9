#pragma once

#include "core/engine.h"

#include <gio/gio.h>

/**
 * DlkObjects: the manager's object and, as one subtree, the leases': 100,000 of them cost the bus layer
 * nothing.
 */
typedef struct _DlkObjects DlkObjects;

DlkObjects *dlk_objects_new(DlkEngine *engine, GDBusConnection *connection, DlkCallers *callers);
void dlk_objects_free(DlkObjects *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkObjects, dlk_objects_free)
