#pragma once

#include "core/engine.h"

/**
 * DlkService: the engine on the system bus: objects, name, callers, polkit. When the bus goes away the leases
 * stay, and the service comes back with it: it tries once a second.
 */
typedef struct _DlkService DlkService;

typedef enum {
    DLK_SERVICE_READY,      /* the name is ours: calls are answered */
    DLK_SERVICE_LOST,       /* the bus is gone */
    DLK_SERVICE_NAME_TAKEN, /* somebody else has the name: there is nothing to do here */
} DlkServiceEvent;
typedef void (*DlkServiceFunc)(DlkServiceEvent event, gpointer user_data);

/** Connects in the background; @func hears what comes of it. */
DlkService *dlk_service_new(DlkEngine *engine, DlkServiceFunc func, gpointer user_data);
/** Leaves the bus: every caller is gone with it. */
void dlk_service_free(DlkService *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkService, dlk_service_free)
