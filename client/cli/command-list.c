#include "argument.h"
#include "base/text.h"
#include "command.h"
#include "failure.h"
#include "leases.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

#define SHORTEST_ID 8
#define LONGEST_SHORT_ID 12
#define WIDE_TERMINAL 120
#define FLEXIBLE_COLUMNS (1u << 3 | 1u << 7) /* owner and path */

static char *option_owner, *option_uid, *option_state, *option_backend, *option_path;

static const GOptionEntry options[] = {
    {"owner", 0, 0, G_OPTION_ARG_FILENAME, &option_owner, "Leases of this owner", "NAME"},
    {"uid", 0, 0, G_OPTION_ARG_FILENAME, &option_uid, "Leases that this user took", "USER"},
    {"state", 0, 0, G_OPTION_ARG_FILENAME, &option_state, "active, suspended, at-risk or broken", "STATE"},
    {"backend", 0, 0, G_OPTION_ARG_FILENAME, &option_backend, "Leases that this backend holds", "NAME"},
    {"path", 0, 0, G_OPTION_ARG_FILENAME, &option_path,
     "Leases of this disk: by the path that was asked for, or where it led", "PATH"},
    {NULL},
};

static gboolean
add_text(GVariantDict *filter, const char *key, const char *value, GError **error)
{
    g_autofree char *option = g_strconcat("--", key, NULL);
    if (!value)
        return TRUE;
    if (!dlk_argument_text(option, value, error))
        return FALSE;
    g_variant_dict_insert(filter, key, "s", value);
    return TRUE;
}

static GVariant *
build_filter(GError **error)
{
    g_auto(GVariantDict) filter;
    g_variant_dict_init(&filter, NULL);
    if (!add_text(&filter, "owner", option_owner, error) ||
        !add_text(&filter, "state", option_state, error) ||
        !add_text(&filter, "backend", option_backend, error))
        return NULL;
    if (option_path) {
        g_autofree char *path = dlk_argument_path(option_path, error);
        if (!path)
            return NULL;
        g_variant_dict_insert(&filter, "path", "s", path);
    }
    guint32 uid;
    if (option_uid) {
        if (!dlk_argument_uid("--uid", option_uid, &uid, error))
            return NULL;
        g_variant_dict_insert(&filter, "uid", "u", uid);
    }
    return g_variant_ref_sink(g_variant_dict_end(&filter));
}

static int
compare_ids(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* How many digits tell all leases of the list apart. */
static int
count_digits(GPtrArray *entries)
{
    guint digits = SHORTEST_ID;
    g_autoptr(GPtrArray) ids = g_ptr_array_sized_new(entries->len);
    for (guint i = 0; i < entries->len; i++) {
        const DlkLeaseEntry *entry = g_ptr_array_index(entries, i);
        g_ptr_array_add(ids, (gpointer)dlk_lease_id(entry->object));
    }
    g_ptr_array_sort(ids, compare_ids);
    for (guint i = 1; i < ids->len; i++) {
        const char *id = g_ptr_array_index(ids, i);
        const char *before = g_ptr_array_index(ids, i - 1);
        while (digits <= LONGEST_SHORT_ID && strncmp(id, before, digits) == 0)
            digits++;
    }
    return digits <= LONGEST_SHORT_ID ? (int)digits : -1;
}

/* What tells today's leases apart takes eight columns; the older ones' day ten. */
static char *
short_time(gint64 realtime_us)
{
    g_autofree char *full = dlk_text_time(realtime_us);
    g_autofree char *now = dlk_text_time(g_get_real_time());
    const char *clock = strchr(full, ' ');
    if (dlk_terminal_width() >= WIDE_TERMINAL || !clock)
        return g_steal_pointer(&full);
    const gsize day_length = (gsize)(clock - full);
    return strncmp(full, now, day_length + 1) == 0 ? g_strdup(clock + 1) : g_strndup(full, day_length);
}

static void
print_table(GPtrArray *entries, gboolean legend)
{
    const int digits = count_digits(entries);
    g_autoptr(DlkTable) table = dlk_table_new(
        (const char *const[]){"LEASE", "STATE", "MODE", "OWNER", "PID", "BACKEND", "SINCE", "PATH", NULL});
    dlk_table_set_flexible(table, FLEXIBLE_COLUMNS);
    for (guint i = 0; i < entries->len; i++) {
        const DlkLeaseEntry *entry = g_ptr_array_index(entries, i);
        GVariant *properties = entry->properties;
        const char *state = dlk_lease_string(properties, "State");
        const guint64 pid = dlk_lease_number(properties, "Pid");
        g_autofree char *id = g_strdup_printf("%.*s", digits, dlk_lease_id(entry->object));
        g_autofree char *process = pid ? g_strdup_printf("%" G_GUINT64_FORMAT, pid) : NULL;
        g_autofree char *since = short_time((gint64)dlk_lease_number(properties, "AcquiredAt"));
        dlk_table_add(table,
                      (const char *const[]){id, state, dlk_lease_string(properties, "Mode"),
                                            dlk_lease_string(properties, "Owner"), process,
                                            dlk_lease_string(properties, "Backend"), since,
                                            dlk_lease_string(properties, "Path")},
                      dlk_terminal_state_colour(state));
    }
    dlk_table_print(table, legend, 0);
    if (legend)
        printf("\n%u %s.\n", entries->len, entries->len == 1 ? "lease" : "leases");
}

static void
print_json(GPtrArray *entries, DlkJsonStyle style)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < entries->len; i++) {
        const DlkLeaseEntry *entry = g_ptr_array_index(entries, i);
        g_variant_builder_add_value(&list, dlk_lease_describe(entry->object, entry->properties));
    }
    dlk_json_print(g_variant_builder_end(&list), style);
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    gboolean own_only = FALSE;
    g_autoptr(GVariant) filter = build_filter(&error);
    if (!filter)
        return dlk_failure_report(error);
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, &error);
    g_autoptr(GPtrArray) entries =
        connection ? dlk_leases_fetch(connection, filter, &own_only, &error) : NULL;
    if (!entries)
        return dlk_failure_report(error);
    if (invocation->settings->json != DLK_JSON_OFF)
        print_json(entries, invocation->settings->json);
    else
        print_table(entries, invocation->settings->legend);
    if (own_only)
        dlk_warn("these are your own leases; to see all takes root, or polkit's yes to inspect");
    return DLK_EXIT_SUCCESS;
}

const DlkCommand dlk_command_list = {
    .name = "list",
    .parameters = "",
    .summary = "List the leases (what disklockctl does when no command is given)",
    .options = {options},
    .run = run,
};
