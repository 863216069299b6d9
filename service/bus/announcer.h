#pragma once

#include "core/engine.h"

#include <gio/gio.h>

/**
 * DlkAnnouncer: turns what happens in the engine into signals on one connection. They are broadcast, so that
 * they hold no path and no owner's name.
 */
typedef struct _DlkAnnouncer DlkAnnouncer;

DlkAnnouncer *dlk_announcer_new(DlkEngine *engine, GDBusConnection *connection);
/**
 * dlk_announcer_begin: the service's name is owned: what is sent from now on is heard. Leases that were
 * broken or put at risk while nobody could hear it, during the start or without a bus, are told of now.
 */
void dlk_announcer_begin(DlkAnnouncer *self);
void dlk_announcer_free(DlkAnnouncer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkAnnouncer, dlk_announcer_free)
