#include "argument.h"
#include "base/text.h"
#include "command.h"
#include "connection.h"
#include "failure.h"
#include "leases.h"
#include "table.h"

#include <stdio.h>

#define LABEL_WIDTH 11

/* In this order; what the service says beyond them follows. */
static const char *const scalars[] = {"path", "disk", "kind", "state", "rule", "backend", "wwid", NULL};
static const char *const lists[] = {"holders", "foreign", "related", NULL};
static const char *const columns[] = {"lease",       "mode", "owner",     "uid",   "pid",  "command",
                                      "what",        "host", "host-name", "since", "path", "this-host",
                                      "unconfirmed", "disk", "relation",  NULL};

static char *describe(const char *key, GVariant *value);

/* "exclusive, shared" */
static char *
describe_strings(GVariant *value)
{
    g_autofree const char **strings = g_variant_get_strv(value, NULL);
    return strings[0] ? g_strjoinv(", ", (char **)strings) : g_strdup("none");
}

/* "type WERO, keys none" */
static char *
describe_dictionary(GVariant *value)
{
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);
    GVariantIter iter;
    const char *key;
    GVariant *entry;
    g_variant_iter_init(&iter, value);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &entry)) {
        g_autofree char *text = describe(key, entry);
        g_ptr_array_add(parts, g_strdup_printf("%s %s", key, text));
    }
    g_ptr_array_add(parts, NULL);
    return g_strjoinv(", ", (char **)parts->pdata);
}

static char *
describe(const char *key, GVariant *value)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY))
        return describe_strings(value);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_VARDICT))
        return describe_dictionary(value);
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_OBJECT_PATH))
        return g_strdup(dlk_lease_id(g_variant_get_string(value, NULL)));
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
        return g_strdup(g_variant_get_string(value, NULL));
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN))
        return g_strdup(g_variant_get_boolean(value) ? "yes" : "no");
    if (g_str_equal(key, "since") && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
        return dlk_text_time((gint64)g_variant_get_uint64(value));
    return g_variant_print(value, FALSE);
}

/* Appends to @keys those of @row that are not among them yet. */
static void
gather_keys(GVariant *row, GPtrArray *keys)
{
    GVariantIter iter;
    const char *key;
    g_variant_iter_init(&iter, row);
    while (g_variant_iter_next(&iter, "{&s@v}", &key, NULL))
        if (!g_ptr_array_find_with_equal_func(keys, key, g_str_equal, NULL))
            g_ptr_array_add(keys, (gpointer)key);
}

/* The keys of all @rows: those known in their usual order, then the others. Borrowed from @rows. */
static GPtrArray *
find_columns(GVariant *rows)
{
    g_autoptr(GPtrArray) present = g_ptr_array_new();
    GPtrArray *ordered = g_ptr_array_new();
    for (gsize i = 0; i < g_variant_n_children(rows); i++) {
        g_autoptr(GVariant) row = g_variant_get_child_value(rows, i);
        gather_keys(row, present);
    }
    for (guint i = 0; columns[i]; i++)
        if (g_ptr_array_find_with_equal_func(present, columns[i], g_str_equal, NULL))
            g_ptr_array_add(ordered, (gpointer)columns[i]);
    for (guint i = 0; i < present->len; i++)
        if (!g_strv_contains(columns, g_ptr_array_index(present, i)))
            g_ptr_array_add(ordered, g_ptr_array_index(present, i));
    g_ptr_array_add(ordered, NULL);
    return ordered;
}

static void
print_list(const char *name, GVariant *rows, gboolean legend)
{
    if (g_variant_n_children(rows) == 0)
        return;
    g_autoptr(GPtrArray) keys = find_columns(rows);
    g_autoptr(GPtrArray) headings = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < keys->len; i++)
        g_ptr_array_add(headings, keys->pdata[i] ? g_ascii_strup(keys->pdata[i], -1) : NULL);
    g_autoptr(DlkTable) table = dlk_table_new((const char *const *)headings->pdata);
    for (gsize r = 0; r < g_variant_n_children(rows); r++) {
        g_autoptr(GVariant) row = g_variant_get_child_value(rows, r);
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; keys->pdata[i]; i++) {
            g_autoptr(GVariant) value = g_variant_lookup_value(row, keys->pdata[i], NULL);
            g_ptr_array_add(cells, value ? describe(keys->pdata[i], value) : NULL);
        }
        dlk_table_add(table, (const char *const *)cells->pdata, DLK_COLOUR_NONE);
    }
    printf("\n%c%s:\n", g_ascii_toupper(name[0]), name + 1);
    dlk_table_print(table, legend, 2);
}

static void
print_scalar(const char *key, GVariant *value)
{
    g_autofree char *text = describe(key, value);
    g_autofree char *label = g_strdup_printf("%c%s", g_ascii_toupper(key[0]), key + (*key ? 1 : 0));
    dlk_print_field(label, LABEL_WIDTH, text,
                    g_str_equal(key, "state") ? dlk_terminal_state_colour(text) : DLK_COLOUR_NONE);
}

static void
print_report(GVariant *report, gboolean legend)
{
    for (guint i = 0; scalars[i]; i++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(report, scalars[i], NULL);
        if (value)
            print_scalar(scalars[i], value);
    }
    GVariantIter iter;
    const char *key;
    GVariant *value;
    g_variant_iter_init(&iter, report);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value))
        if (!g_strv_contains(scalars, key) && !g_strv_contains(lists, key))
            print_scalar(key, value);
    for (guint i = 0; lists[i]; i++) {
        g_autoptr(GVariant) rows = g_variant_lookup_value(report, lists[i], G_VARIANT_TYPE("aa{sv}"));
        if (rows)
            print_list(lists[i], rows, legend);
    }
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = dlk_argument_path(invocation->arguments[0], &error);
    g_autoptr(DlkConnection) connection = path ? dlk_connection_open(invocation->settings, &error) : NULL;
    if (!connection)
        return dlk_failure_report(error);
    const DlkCall call = {
        .method = "Inspect",
        .arguments = g_variant_new("(s)", path),
        .reply_type = G_VARIANT_TYPE("(a{sv})"),
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, &error);
    if (!reply)
        return dlk_failure_report(error);
    g_autoptr(GVariant) report = g_variant_get_child_value(reply, 0);
    if (invocation->settings->json != DLK_JSON_OFF)
        dlk_json_print(report, invocation->settings->json);
    else
        print_report(report, invocation->settings->legend);
    return DLK_EXIT_SUCCESS;
}

const DlkCommand dlk_command_inspect = {
    .name = "inspect",
    .parameters = "PATH",
    .summary = "Say what a disk is, which rule applies to it, and who has it",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
