#include "argument.h"
#include "base/error.h"
#include "command.h"
#include "connection.h"
#include "failure.h"
#include "leases.h"
#include "printable.h"

#include <stdio.h>
#include <unistd.h>

static char *option_reason;
static gboolean option_yes;

static const GOptionEntry options[] = {
    {"reason", 'r', 0, G_OPTION_ARG_FILENAME, &option_reason, "Why, for the owner and the journal (required)",
     "TEXT"},
    {"yes", 'y', 0, G_OPTION_ARG_NONE, &option_yes, "Do not ask", NULL},
    {NULL},
};

/* Whom it meets, as far as the caller may know. */
static char *
describe(DlkConnection *connection, const char *object)
{
    g_autoptr(GVariant) properties = dlk_leases_get(connection, object, TRUE, NULL);
    if (!properties)
        return g_strdup_printf("lease %s", dlk_lease_id(object));
    g_autofree char *owner = dlk_printable(dlk_lease_string(properties, "Owner"));
    g_autofree char *path = dlk_printable(dlk_lease_string(properties, "Path"));
    g_autofree char *on_break = dlk_printable(dlk_lease_string(properties, "OnBreak"));
    return g_strdup_printf("lease %s of %s on %s (process %" G_GUINT64_FORMAT ", on break: %s)",
                           dlk_lease_id(object), owner, path, dlk_lease_number(properties, "Pid"), on_break);
}

static gboolean
confirm(DlkConnection *connection, const char *object)
{
    char answer[16] = "";
    if (option_yes || !isatty(STDIN_FILENO))
        return TRUE;
    g_autofree char *lease = describe(connection, object);
    fprintf(stderr, "Break %s?\nIts disk is protected no longer then. [y/N] ", lease);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static gboolean
check_reason(GError **error)
{
    if (!option_reason || !*option_reason) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "say why: --reason=TEXT");
        return FALSE;
    }
    return dlk_argument_text("--reason", option_reason, error);
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = NULL;
    if (check_reason(&error))
        connection = dlk_connection_open(invocation->settings, &error);
    g_autofree char *object =
        connection ? dlk_leases_find(connection, invocation->arguments[0], &error) : NULL;
    if (!object)
        return dlk_failure_report(error);
    if (!confirm(connection, object)) {
        dlk_warn("nothing was done");
        return DLK_EXIT_FAILURE;
    }
    const DlkCall call = {
        .method = "Break",
        .arguments = g_variant_new("(osa{sv})", object, option_reason, NULL),
        .reply_type = G_VARIANT_TYPE_UNIT,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, &error);
    return reply ? (int)DLK_EXIT_SUCCESS : (int)dlk_failure_report(error);
}

const DlkCommand dlk_command_break = {
    .name = "break",
    .parameters = "LEASE --reason=TEXT",
    .summary = "Revoke a lease; what it asked for on a break happens to its process",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = {options},
    .run = run,
};
