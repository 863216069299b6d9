#include "base/text.h"
#include "command.h"
#include "failure.h"
#include "leases.h"
#include "table.h"

#define LABEL_WIDTH 13

static const struct {
    const char *property;
    const char *label;
} fields[] = {
    {"State", "State"},      {"BrokenReason", "Broken"}, {"Mode", "Mode"},        {"Path", "Path"},
    {"Disk", "Disk"},        {"Backend", "Backend"},     {"Owner", "Owner"},      {"OwnerUuid", "Owner UUID"},
    {"Why", "Why"},          {"Uid", "User ID"},         {"Pid", "Process"},      {"Lifetime", "Lifetime"},
    {"OnBreak", "On break"}, {"Token", "Token"},         {"AcquiredAt", "Since"}, {"CheckedAt", "Checked"},
};

/* The value for people, or NULL where there is nothing to say. */
static char *
describe(const char *property, GVariant *value)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING)) {
        const char *text = g_variant_get_string(value, NULL);
        return *text ? g_strdup(text) : NULL;
    }
    if (g_str_has_suffix(property, "At") && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64)) {
        const guint64 time = g_variant_get_uint64(value);
        return time ? dlk_text_time((gint64)time) : NULL;
    }
    return g_variant_print(value, FALSE);
}

static void
print_fields(const char *object, GVariant *properties)
{
    dlk_print_field("Lease", LABEL_WIDTH, dlk_lease_id(object), DLK_COLOUR_HEADING);
    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        const char *property = fields[i].property;
        g_autoptr(GVariant) value = g_variant_lookup_value(properties, property, NULL);
        g_autofree char *text = value ? describe(property, value) : NULL;
        if (!text || (g_str_equal(property, "Pid") && g_str_equal(text, "0")))
            continue;
        dlk_print_field(fields[i].label, LABEL_WIDTH, text,
                        g_str_equal(property, "State") ? dlk_terminal_state_colour(text) : DLK_COLOUR_NONE);
    }
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, &error);
    g_autofree char *object =
        connection ? dlk_leases_find(connection, invocation->arguments[0], &error) : NULL;
    g_autoptr(GVariant) properties = object ? dlk_leases_get(connection, object, FALSE, &error) : NULL;
    if (!properties)
        return dlk_failure_report(error);
    if (invocation->settings->json == DLK_JSON_OFF) {
        print_fields(object, properties);
        return DLK_EXIT_SUCCESS;
    }
    dlk_json_print(dlk_lease_describe(object, properties), invocation->settings->json);
    return DLK_EXIT_SUCCESS;
}

const DlkCommand dlk_command_show = {
    .name = "show",
    .parameters = "LEASE",
    .summary = "Show everything about one lease",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
