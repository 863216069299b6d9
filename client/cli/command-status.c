#include "command.h"
#include "connection.h"
#include "failure.h"
#include "leases.h"
#include "table.h"

#define LABEL_WIDTH 10
#define POLKIT_NAME "org.freedesktop.PolicyKit1"

static void
print_json(GVariant *properties, gboolean polkit, DlkJsonStyle style)
{
    g_auto(GVariantBuilder) status = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&status, "{sv}", "Service", g_variant_new_boolean(properties != NULL));
    g_variant_builder_add(&status, "{sv}", "Polkit", g_variant_new_boolean(polkit));
    for (gsize i = 0; properties && i < g_variant_n_children(properties); i++) {
        g_autoptr(GVariant) entry = g_variant_get_child_value(properties, i);
        g_variant_builder_add_value(&status, entry);
    }
    dlk_json_print(g_variant_builder_end(&status), style);
}

static void
print_number(const char *label, guint64 number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    dlk_print_field(label, LABEL_WIDTH, text, DLK_COLOUR_NONE);
}

static void
print_text(GVariant *properties, gboolean polkit)
{
    dlk_print_field("Bus", LABEL_WIDTH, "answers", DLK_COLOUR_NONE);
    if (polkit) {
        dlk_print_field("Polkit", LABEL_WIDTH, "answers", DLK_COLOUR_NONE);
    } else {
        dlk_print_field(
            "Polkit", LABEL_WIDTH,
            "does not answer: who is not root is refused, but for his own leases (systemctl status polkit)",
            DLK_COLOUR_WARNING);
    }
    if (!properties) {
        dlk_print_field("Service", LABEL_WIDTH, "does not answer", DLK_COLOUR_ALARM);
        return;
    }
    g_autoptr(GVariant) backends =
        g_variant_lookup_value(properties, "Backends", G_VARIANT_TYPE_STRING_ARRAY);
    g_autofree const char **names = backends ? g_variant_get_strv(backends, NULL) : NULL;
    g_autofree char *list = names ? g_strjoinv(", ", (char **)names) : g_strdup("");
    dlk_print_field("Service", LABEL_WIDTH, "answers", DLK_COLOUR_NONE);
    dlk_print_field("Version", LABEL_WIDTH, dlk_lease_string(properties, "Version"), DLK_COLOUR_NONE);
    dlk_print_field("Host ID", LABEL_WIDTH, dlk_lease_string(properties, "HostId"), DLK_COLOUR_NONE);
    dlk_print_field("Backends", LABEL_WIDTH, list, DLK_COLOUR_NONE);
    print_number("Leases", dlk_lease_number(properties, "LeaseCount"));
    print_number("Policy", dlk_lease_number(properties, "PolicyGeneration"));
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    g_autoptr(GVariant) properties =
        dlk_connection_get_all(connection, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, TRUE, &error);
    const gboolean polkit = dlk_connection_ping(connection, POLKIT_NAME, NULL);
    if (invocation->settings->json != DLK_JSON_OFF)
        print_json(properties, polkit, invocation->settings->json);
    else
        print_text(properties, polkit);
    return properties ? (int)DLK_EXIT_SUCCESS : (int)dlk_failure_report(error);
}

const DlkCommand dlk_command_status = {
    .name = "status",
    .parameters = "",
    .summary = "Say whether bus, polkit and service answer, and what the service is",
    .run = run,
};
