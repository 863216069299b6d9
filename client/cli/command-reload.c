#include "command.h"
#include "connection.h"
#include "failure.h"

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    const DlkCall call = {.method = "Reload", .reply_type = G_VARIANT_TYPE_UNIT};
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, &error);
    return reply ? (int)DLK_EXIT_SUCCESS : (int)dlk_failure_report(error);
}

const DlkCommand dlk_command_reload = {
    .name = "reload",
    .parameters = "",
    .summary = "Have the service read its policy again; one with a mistake is refused",
    .run = run,
};
