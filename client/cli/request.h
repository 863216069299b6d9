#pragma once

#include "exit-code.h"

#include <glib.h>

/** What `acquire`, `run` and `domain acquire` let one say of the leases they ask for; read into static
 * variables. Of one disk alone: its mode. */
extern const GOptionEntry dlk_request_mode_options[];
/** Of all of them. */
extern const GOptionEntry dlk_request_options[];
/** Of those that outlive disklockctl; see dlk_request_add_lifetime(). */
extern const GOptionEntry dlk_request_lifetime_options[];

/** DlkRequest: the options for the Acquire family, checked; and a disk and a mode, where one is asked for. */
typedef struct {
    char *path; /* absolute; %NULL: of none */
    const char *mode;
    GVariantDict options;
    guint32 wait_ms;
} DlkRequest;

/**
 * dlk_request_read: fills @request with what the options said. DLK_ERROR_INVALID_ARGS.
 * @path: the disk, or %NULL. @default_owner: the owner unless --owner says another; %NULL: the service's own
 * default.
 */
gboolean dlk_request_read(DlkRequest *request, const char *path, const char *default_owner, GError **error);
/** dlk_request_add_lifetime: adds what --lifetime and --pid said. DLK_ERROR_INVALID_ARGS. */
gboolean dlk_request_add_lifetime(DlkRequest *request, GError **error);
void dlk_request_clear(DlkRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DlkRequest, dlk_request_clear)

/** dlk_request_arguments: "(ssa{sv})", floating; the options are used up. */
GVariant *dlk_request_arguments(DlkRequest *request);

/** dlk_request_report_failure: as dlk_failure_report(), for the call that asked for the leases: whoever did
 * not wait for the disk is told that he might. */
DlkExitCode dlk_request_report_failure(const DlkRequest *request, const GError *error);
