#include "argument.h"
#include "command.h"
#include "connection.h"
#include "domain-file.h"
#include "failure.h"
#include "leases.h"
#include "release.h"
#include "request.h"
#include "table.h"

#define FLEXIBLE_COLUMNS (1u << 3) /* path */

static char *option_owner;

static const GOptionEntry release_options[] = {
    {"owner", 'o', 0, G_OPTION_ARG_FILENAME, &option_owner,
     "Whose leases; default: the domain's <name>, as domain acquire has it", "NAME"},
    {NULL},
};

static GVariant *
describe_lease(const char *object, guint64 token, GVariant *properties)
{
    g_auto(GVariantDict) lease;
    g_autoptr(GVariant) known =
        g_variant_ref_sink(dlk_lease_describe(object, properties ?: g_variant_new("a{sv}", NULL)));
    g_variant_dict_init(&lease, known);
    g_variant_dict_insert(&lease, "Id", "s", dlk_lease_id(object));
    g_variant_dict_insert(&lease, "Token", "t", token);
    return g_variant_dict_end(&lease);
}

static void
add_row(DlkTable *table, const char *object, guint64 token, GVariant *properties)
{
    g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, token);
    dlk_table_add(table,
                  (const char *const[]){dlk_lease_id(object), number,
                                        properties ? dlk_lease_string(properties, "Mode") : NULL,
                                        properties ? dlk_lease_string(properties, "Path") : NULL},
                  DLK_COLOUR_NONE);
}

/* A lease that ended meanwhile, or that may not be read, is shown without mode and path: it was granted. */
static void
print_leases(DlkConnection *connection, GVariant *leases, const DlkSettings *settings)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    g_autoptr(DlkTable) table = dlk_table_new((const char *const[]){"LEASE", "TOKEN", "MODE", "PATH", NULL});
    dlk_table_set_flexible(table, FLEXIBLE_COLUMNS);
    GVariantIter iter;
    const char *object;
    guint64 token;
    g_variant_iter_init(&iter, leases);
    while (g_variant_iter_next(&iter, "(&ot)", &object, &token)) {
        g_autoptr(GVariant) properties = dlk_leases_get(connection, object, TRUE, NULL);
        if (settings->json != DLK_JSON_OFF)
            g_variant_builder_add_value(&list, describe_lease(object, token, properties));
        else
            add_row(table, object, token, properties);
    }
    if (settings->json != DLK_JSON_OFF)
        dlk_json_print(g_variant_builder_end(&list), settings->json);
    else
        dlk_table_print(table, settings->legend, 0);
}

static gboolean
read_request(DlkRequest *request, const DlkDomainFile *file, GError **error)
{
    if (!dlk_request_read(request, NULL, file->name, error) || !dlk_request_add_lifetime(request, error))
        return FALSE;
    if (file->uuid && !g_variant_dict_contains(&request->options, "owner-uuid"))
        g_variant_dict_insert(&request->options, "owner-uuid", "s", file->uuid);
    return TRUE;
}

static int
run_acquire(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_auto(DlkRequest) request = {0};
    g_autoptr(DlkDomainFile) file = dlk_domain_file_read(invocation->arguments[0], &error);
    if (!file || !read_request(&request, file, &error))
        return dlk_failure_report(error);
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    const DlkCall call = {
        .method = "AcquireDomain",
        .arguments = g_variant_new("(s@a{sv})", file->xml, g_variant_dict_end(&request.options)),
        .reply_type = G_VARIANT_TYPE("(a(ot))"),
        .wait_ms = request.wait_ms,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, &error);
    if (!reply)
        return dlk_request_report_failure(&request, error);
    g_autoptr(GVariant) leases = g_variant_get_child_value(reply, 0);
    print_leases(connection, leases, invocation->settings);
    return DLK_EXIT_SUCCESS;
}

static int
run_release(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = NULL;
    g_autoptr(DlkDomainFile) file = dlk_domain_file_read(invocation->arguments[0], &error);
    if (file && (!option_owner || dlk_argument_text("--owner", option_owner, &error)))
        connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    return dlk_release_owner(connection, option_owner ?: file->name, invocation->settings);
}

const DlkCommand dlk_command_domain_acquire = {
    .name = "domain acquire",
    .parameters = "FILE|-",
    .summary = "Take every disk of a libvirt domain, all or nothing",
    .details =
        "FILE is what `virsh dumpxml` prints; - is standard input. The owner is the domain's <name> unless "
        "--owner says\nanother, the owner's UUID its <uuid>.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = {dlk_request_options, dlk_request_lifetime_options},
    .run = run_acquire,
};

const DlkCommand dlk_command_domain_release = {
    .name = "domain release",
    .parameters = "FILE|-",
    .summary = "Give back every lease that a libvirt domain owns",
    .details =
        "Of FILE (- is standard input) the <name> counts: every lease under that owner's name is given back "
        "that you may\nrelease, also one of a disk that the domain no longer has.",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = {release_options},
    .run = run_release,
};
