#pragma once

#include <glib.h>

/**
 * DlkError: every way a call can end badly, one value for each name on the bus.
 *
 * One domain serves all layers, so that an error raised in a worker reaches the caller unchanged. The
 * message is for people: it names the disk, who is in the way and what to do.
 */
typedef enum {
    DLK_ERROR_BUSY,
    DLK_ERROR_NOT_AUTHORIZED,
    DLK_ERROR_NO_SUCH_LEASE,
    DLK_ERROR_NOT_OWNER,
    DLK_ERROR_NOT_A_DISK,
    DLK_ERROR_UNSUPPORTED,
    DLK_ERROR_UNREACHABLE,
    DLK_ERROR_BACKEND_FAILED,
    DLK_ERROR_LIMIT_EXCEEDED,
    DLK_ERROR_TIMED_OUT,
    DLK_ERROR_LEASE_LOST,
    DLK_ERROR_POLICY_DENIED,
    DLK_ERROR_BAD_POLICY,
    /* The two that D-Bus itself has a name for. */
    DLK_ERROR_INVALID_ARGS,
    DLK_ERROR_INTERACTION_REQUIRED,
    DLK_N_ERRORS
} DlkError;

#define DLK_ERROR dlk_error_quark()
GQuark dlk_error_quark(void);

/** dlk_error_bus_name: the D-Bus error name of @code; static. */
const char *dlk_error_bus_name(DlkError code);

/**
 * dlk_set_error_errno: sets @error to @code with "<formatted text>: <strerror(errsv)>".
 * Always returns FALSE, so that a function can end with it.
 */
gboolean dlk_set_error_errno(GError **error, DlkError code, int errsv, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
