#pragma once

#include <glib.h>

/** dlk_request_options: what `acquire` and `run` let one say of the lease they ask for; read into static
 * variables. */
extern const GOptionEntry dlk_request_options[];

/** DlkRequest: a disk, a mode and the options for the Acquire family, checked. */
typedef struct {
    char *path; /* absolute */
    const char *mode;
    GVariantDict options;
    guint32 wait_ms;
} DlkRequest;

/**
 * dlk_request_read: fills @request with @path and what the options said. DLK_ERROR_INVALID_ARGS.
 * @default_owner: the owner unless --owner says another; %NULL: the service's own default.
 */
gboolean dlk_request_read(DlkRequest *request, const char *path, const char *default_owner, GError **error);
void dlk_request_clear(DlkRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DlkRequest, dlk_request_clear)

/** dlk_request_arguments: "(ssa{sv})", floating; the options are used up. */
GVariant *dlk_request_arguments(DlkRequest *request);
