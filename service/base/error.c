#include "base/error.h"

#include <stdarg.h>

#define OURS "org.disklock.DiskLock1.Error."
#define STANDARD "org.freedesktop.DBus.Error."

static const char *const bus_names[DLK_N_ERRORS] = {
    [DLK_ERROR_BUSY] = OURS "Busy",
    [DLK_ERROR_NOT_AUTHORIZED] = OURS "NotAuthorized",
    [DLK_ERROR_NO_SUCH_LEASE] = OURS "NoSuchLease",
    [DLK_ERROR_NOT_OWNER] = OURS "NotOwner",
    [DLK_ERROR_NOT_A_DISK] = OURS "NotADisk",
    [DLK_ERROR_UNSUPPORTED] = OURS "Unsupported",
    [DLK_ERROR_UNREACHABLE] = OURS "Unreachable",
    [DLK_ERROR_BACKEND_FAILED] = OURS "BackendFailed",
    [DLK_ERROR_LIMIT_EXCEEDED] = OURS "LimitExceeded",
    [DLK_ERROR_TIMED_OUT] = OURS "TimedOut",
    [DLK_ERROR_LEASE_LOST] = OURS "LeaseLost",
    [DLK_ERROR_POLICY_DENIED] = OURS "PolicyDenied",
    [DLK_ERROR_BAD_POLICY] = OURS "BadPolicy",
    [DLK_ERROR_INVALID_ARGS] = STANDARD "InvalidArgs",
    [DLK_ERROR_INTERACTION_REQUIRED] = STANDARD "InteractiveAuthorizationRequired",
};

GQuark
dlk_error_quark(void)
{
    return g_quark_from_static_string("dlk-error-quark");
}

const char *
dlk_error_bus_name(DlkError code)
{
    g_return_val_if_fail((guint)code < DLK_N_ERRORS, STANDARD "Failed");
    return bus_names[code];
}

gboolean
dlk_set_error_errno(GError **error, DlkError code, int errsv, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error(error, DLK_ERROR, (gint)code, "%s: %s", text, g_strerror(errsv));
    return FALSE;
}
