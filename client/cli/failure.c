#include "failure.h"

#include "base/error.h"
#include "printable.h"

#include <gio/gio.h>
#include <stdio.h>

#define STANDARD "org.freedesktop.DBus.Error."

static const char start_hint[] = "start the service: systemctl start disklockd";
static const char silent_hint[] =
    "the service, or the bus, does not answer; what it says: journalctl -u disklockd";
static const char rights_hint[] =
    "root may do it; who else may, is for polkit to say: its rules are in /etc/polkit-1/rules.d, and "
    "whether it runs: systemctl status polkit";
static const char activation_hint[] = "why it does not start: systemctl status disklockd";

typedef struct {
    const char *name; /* on the bus; with a period at its end all that begin so */
    DlkExitCode code;
    const char *hint;
    const char *message; /* shown in place of the bus's own, or %NULL */
} StandardFailure;

static const StandardFailure standard_failures[] = {
    {STANDARD "AccessDenied", DLK_EXIT_DENIED, rights_hint},
    {STANDARD "ServiceUnknown", DLK_EXIT_UNREACHABLE, start_hint, "disklockd does not run"},
    {STANDARD "NameHasNoOwner", DLK_EXIT_UNREACHABLE, start_hint, "disklockd does not run"},
    /* Of who is asked to start it: systemd, or the bus itself. */
    {"org.freedesktop.systemd1.", DLK_EXIT_UNREACHABLE, activation_hint, "disklockd cannot be started"},
    {STANDARD "Spawn.", DLK_EXIT_UNREACHABLE, activation_hint, "disklockd cannot be started"},
    {STANDARD "NoReply", DLK_EXIT_UNREACHABLE, silent_hint},
    {STANDARD "Timeout", DLK_EXIT_UNREACHABLE, silent_hint},
    {STANDARD "TimedOut", DLK_EXIT_UNREACHABLE, silent_hint},
    {STANDARD "Disconnected", DLK_EXIT_UNREACHABLE, silent_hint},
    {STANDARD "NoServer", DLK_EXIT_UNREACHABLE, silent_hint},
};

typedef struct {
    DlkExitCode code;
    const char *hint;
} Failure;

static const Failure failures[DLK_N_ERRORS] = {
    [DLK_ERROR_BUSY] = {DLK_EXIT_BUSY, "who has it: disklockctl inspect PATH"},
    [DLK_ERROR_NOT_AUTHORIZED] = {DLK_EXIT_DENIED, rights_hint},
    [DLK_ERROR_NO_SUCH_LEASE] = {DLK_EXIT_MISSING, "the leases there are: disklockctl list"},
    [DLK_ERROR_NOT_OWNER] = {DLK_EXIT_DENIED, rights_hint},
    [DLK_ERROR_NOT_A_DISK] = {DLK_EXIT_MISSING, NULL},
    [DLK_ERROR_UNSUPPORTED] = {DLK_EXIT_FAILURE, NULL},
    [DLK_ERROR_UNREACHABLE] = {DLK_EXIT_UNREACHABLE, NULL},
    [DLK_ERROR_BACKEND_FAILED] = {DLK_EXIT_FAILURE, "details: journalctl -u disklockd"},
    [DLK_ERROR_LIMIT_EXCEEDED] = {DLK_EXIT_FAILURE,
                                  "the limits stand under [Limits] in the policy: man disklock.conf"},
    [DLK_ERROR_TIMED_OUT] = {DLK_EXIT_BUSY, "who has it: disklockctl inspect PATH"},
    [DLK_ERROR_LEASE_LOST] = {DLK_EXIT_FAILURE, NULL},
    [DLK_ERROR_POLICY_DENIED] = {DLK_EXIT_DENIED, "the rules stand in the policy: man disklock.conf"},
    [DLK_ERROR_BAD_POLICY] = {DLK_EXIT_FAILURE, NULL},
    [DLK_ERROR_INVALID_ARGS] = {DLK_EXIT_USAGE, NULL},
    [DLK_ERROR_INTERACTION_REQUIRED] =
        {DLK_EXIT_DENIED, "polkit wants to ask: use a terminal, without --no-ask-password, or be root"},
};

static char *
remote_name(const GError *error)
{
    return g_dbus_error_is_remote_error(error) ? g_dbus_error_get_remote_error(error) : NULL;
}

static gboolean
is_meant(const StandardFailure *standard, const char *name)
{
    return g_str_has_suffix(standard->name, ".") ? g_str_has_prefix(name, standard->name)
                                                 : g_str_equal(name, standard->name);
}

static const StandardFailure *
find_standard(const char *name)
{
    for (gsize i = 0; name && i < G_N_ELEMENTS(standard_failures); i++)
        if (is_meant(&standard_failures[i], name))
            return &standard_failures[i];
    return NULL;
}

static Failure
find_failure(const GError *error, const char *name)
{
    for (guint code = 0; name && code < DLK_N_ERRORS; code++)
        if (g_str_equal(dlk_error_bus_name(code), name))
            return failures[code];
    if (error->domain == DLK_ERROR && (guint)error->code < DLK_N_ERRORS)
        return failures[error->code];
    const gboolean silence = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
                             g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED);
    return silence ? (Failure){DLK_EXIT_UNREACHABLE, silent_hint} : (Failure){DLK_EXIT_FAILURE, NULL};
}

DlkExitCode
dlk_failure_code(const GError *error)
{
    g_autofree char *name = remote_name(error);
    const StandardFailure *standard = find_standard(name);
    return standard ? standard->code : find_failure(error, name).code;
}

DlkExitCode
dlk_failure_report(const GError *error)
{
    g_autofree char *name = remote_name(error);
    const StandardFailure *standard = find_standard(name);
    const Failure failure = standard ? (Failure){standard->code, standard->hint} : find_failure(error, name);
    g_autoptr(GError) stripped = g_error_copy(error);
    g_dbus_error_strip_remote_error(stripped);
    if (standard && standard->message)
        dlk_warn("%s (%s)", standard->message, stripped->message);
    else
        dlk_warn("%s", stripped->message);
    if (failure.hint)
        dlk_hint(failure.hint);
    return failure.code;
}

void
dlk_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    fflush(stdout);
    for (guint i = 0; lines[i]; i++) {
        g_autofree char *line = dlk_printable(lines[i]);
        fprintf(stderr, "%s%s\n", i == 0 ? "disklockctl: " : "  ", line);
    }
}

void
dlk_hint(const char *text)
{
    fprintf(stderr, "hint: %s\n", text);
}
