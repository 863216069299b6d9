#pragma once

#include <glib.h>

/**
 * DlkNvmeEvents: hears at once when a controller of NVMe says that something happened to a reservation. The
 * kernel hands such an event on as a uevent of the controller (nvme_aen_uevent in drivers/nvme/host/core.c),
 * which does not say of which namespace. A hint: it may be missing, and nothing rests on its coming.
 */
typedef struct _DlkNvmeEvents DlkNvmeEvents;

/**
 * Calls @func(@user_data) from @context after one event or several, and where events were lost. %NULL and
 * @error where the kernel does not let this process listen.
 */
DlkNvmeEvents *dlk_nvme_events_new(GMainContext *context, GSourceOnceFunc func, gpointer user_data,
                                   GError **error);
void dlk_nvme_events_free(DlkNvmeEvents *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkNvmeEvents, dlk_nvme_events_free)

/** Is @message, a uevent of @length bytes that may be anything, such an event? */
gboolean dlk_nvme_events_are_told_by(const char *message, gsize length);
