#include "argument.h"
#include "base/error.h"
#include "command.h"
#include "connection.h"
#include "failure.h"
#include "leases.h"
#include "release.h"

#include <stdio.h>

static char *option_owner;

static const GOptionEntry options[] = {
    {"owner", 'o', 0, G_OPTION_ARG_FILENAME, &option_owner,
     "Release every lease of this owner that you may release", "NAME"},
    {NULL},
};

static void
print_count(guint32 released, const DlkSettings *settings)
{
    if (settings->json != DLK_JSON_OFF)
        dlk_json_print(g_variant_new_parsed("{'Released': <%u>}", released), settings->json);
    else if (settings->legend)
        printf("%u %s released.\n", released, released == 1 ? "lease" : "leases");
}

int
dlk_release_owner(DlkConnection *connection, const char *owner, const DlkSettings *settings)
{
    g_autoptr(GError) error = NULL;
    guint32 released;
    const DlkCall call = {
        .method = "ReleaseOwner",
        .arguments = g_variant_new("(s)", owner),
        .reply_type = G_VARIANT_TYPE("(u)"),
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, &error);
    if (!reply)
        return dlk_failure_report(error);
    g_variant_get(reply, "(u)", &released);
    print_count(released, settings);
    return DLK_EXIT_SUCCESS;
}

static gboolean
release_lease(DlkConnection *connection, const char *object, GError **error)
{
    const DlkCall call = {
        .method = "Release",
        .arguments = g_variant_new("(o)", object),
        .reply_type = G_VARIANT_TYPE_UNIT,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, error);
    return reply != NULL;
}

static gboolean
release_named(DlkConnection *connection, const char *text, GError **error)
{
    g_autofree char *object = dlk_leases_find(connection, text, error);
    return object && release_lease(connection, object, error);
}

/* One that cannot be released does not keep the others; the first failure gives the exit code. */
static int
release_each(DlkConnection *connection, const DlkInvocation *invocation)
{
    int code = DLK_EXIT_SUCCESS;
    guint32 released = 0;
    for (guint i = 0; i < invocation->n_arguments; i++) {
        g_autoptr(GError) error = NULL;
        if (release_named(connection, invocation->arguments[i], &error)) {
            released++;
            continue;
        }
        const int failure = dlk_failure_report(error);
        code = code == DLK_EXIT_SUCCESS ? failure : code;
    }
    if (invocation->settings->json != DLK_JSON_OFF)
        print_count(released, invocation->settings);
    return code;
}

static gboolean
check_arguments(const DlkInvocation *invocation, GError **error)
{
    if ((invocation->n_arguments > 0) == (option_owner != NULL)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "release what? Give a lease, or --owner=NAME");
        return FALSE;
    }
    return !option_owner || dlk_argument_text("--owner", option_owner, error);
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = NULL;
    if (check_arguments(invocation, &error))
        connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    return option_owner ? dlk_release_owner(connection, option_owner, invocation->settings)
                        : release_each(connection, invocation);
}

const DlkCommand dlk_command_release = {
    .name = "release",
    .parameters = "LEASE… | --owner=NAME",
    .summary = "Give leases back",
    .max_arguments = G_MAXUINT,
    .options = {options},
    .run = run,
};
