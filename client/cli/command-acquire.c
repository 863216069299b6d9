#include "command.h"
#include "connection.h"
#include "failure.h"
#include "leases.h"
#include "request.h"
#include "table.h"

#include <stdio.h>

static void
print_lease(const char *object, guint64 token, const DlkSettings *settings)
{
    if (settings->json != DLK_JSON_OFF) {
        g_auto(GVariantBuilder) lease = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&lease, "{sv}", "Lease", g_variant_new_object_path(object));
        g_variant_builder_add(&lease, "{sv}", "Id", g_variant_new_string(dlk_lease_id(object)));
        g_variant_builder_add(&lease, "{sv}", "Token", g_variant_new_uint64(token));
        dlk_json_print(g_variant_builder_end(&lease), settings->json);
        return;
    }
    g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, token);
    g_autoptr(DlkTable) table = dlk_table_new((const char *const[]){"LEASE", "TOKEN", NULL});
    dlk_table_add(table, (const char *const[]){dlk_lease_id(object), number}, DLK_COLOUR_NONE);
    dlk_table_print(table, settings->legend, 0);
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_auto(DlkRequest) request = {0};
    if (!dlk_request_read(&request, invocation->arguments[0], NULL, &error) ||
        !dlk_request_add_lifetime(&request, &error))
        return dlk_failure_report(error);
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    const DlkCall call = {
        .method = "Acquire",
        .arguments = dlk_request_arguments(&request),
        .reply_type = G_VARIANT_TYPE("(ot)"),
        .wait_ms = request.wait_ms,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, &error);
    if (!reply)
        return dlk_request_report_failure(&request, error);
    const char *object;
    guint64 token;
    g_variant_get(reply, "(&ot)", &object, &token);
    print_lease(object, token, invocation->settings);
    return DLK_EXIT_SUCCESS;
}

const DlkCommand dlk_command_acquire = {
    .name = "acquire",
    .parameters = "PATH",
    .summary = "Take a disk, and print the lease and its fencing token",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = {dlk_request_mode_options, dlk_request_options, dlk_request_lifetime_options},
    .run = run,
};
