#include "command.h"
#include "connection.h"
#include "domain-file.h"
#include "failure.h"
#include "leases.h"
#include "model/domain.h"
#include "table.h"

#define FLEXIBLE_COLUMNS (1u << 3 | 1u << 4) /* holder and path */

/* What the service says of one disk of the domain. */
typedef struct {
    const DlkDomainDisk *disk;
    GVariant *report; /* a{sv}, or %NULL: then */
    GError *failure;  /* says why not */
} Answer;

static void
answer_free(Answer *answer)
{
    g_clear_pointer(&answer->report, g_variant_unref);
    g_clear_error(&answer->failure);
    g_free(answer);
}

static Answer *
ask(DlkConnection *connection, const DlkDomainDisk *disk)
{
    Answer *answer = g_new0(Answer, 1);
    const DlkCall call = {
        .method = "Inspect",
        .arguments = g_variant_new("(s)", disk->path),
        .reply_type = G_VARIANT_TYPE("(a{sv})"),
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, &answer->failure);
    answer->disk = disk;
    answer->report = reply ? g_variant_get_child_value(reply, 0) : NULL;
    return answer;
}

/* Does the service say so of this disk? Or else the others would fare no better. */
static gboolean
is_about_disk(const GError *failure)
{
    g_autofree char *name =
        g_dbus_error_is_remote_error(failure) ? g_dbus_error_get_remote_error(failure) : NULL;
    return name && g_str_has_prefix(name, DLK_BUS_NAME ".");
}

static gboolean
is_missing(const Answer *answer)
{
    return answer->failure && dlk_failure_code(answer->failure) == DLK_EXIT_MISSING;
}

/* Would the domain get this disk now? One that is not there and need not be is no hindrance. */
static gboolean
is_available(const Answer *answer)
{
    g_autofree const char **modes = NULL;
    if (is_missing(answer))
        return answer->disk->optional;
    return answer->report && g_variant_lookup(answer->report, "available", "^a&s", &modes) &&
           g_strv_contains(modes, dlk_mode_to_string(answer->disk->mode));
}

static const char *
state_of(const Answer *answer)
{
    if (answer->report)
        return dlk_lease_string(answer->report, "state");
    return is_missing(answer) ? "missing" : "unknown";
}

static void
add_name(GString *names, const char *name)
{
    g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
}

/* "web01 (exclusive)", "qemu (pid 4711)" */
static char *
describe_holders(GVariant *report)
{
    GString *names = g_string_new(NULL);
    g_autoptr(GVariant) holders = g_variant_lookup_value(report, "holders", G_VARIANT_TYPE("aa{sv}"));
    g_autoptr(GVariant) foreign = g_variant_lookup_value(report, "foreign", G_VARIANT_TYPE("aa{sv}"));
    for (gsize i = 0; holders && i < g_variant_n_children(holders); i++) {
        g_autoptr(GVariant) holder = g_variant_get_child_value(holders, i);
        g_autofree char *name =
            g_strdup_printf("%s (%s)", dlk_lease_string(holder, "owner"), dlk_lease_string(holder, "mode"));
        add_name(names, name);
    }
    for (gsize i = 0; foreign && i < g_variant_n_children(foreign); i++) {
        g_autoptr(GVariant) user = g_variant_get_child_value(foreign, i);
        const char *what = dlk_lease_string(user, "what");
        const guint64 pid = dlk_lease_number(user, "pid");
        g_autofree char *name =
            pid ? g_strdup_printf("%s (pid %" G_GUINT64_FORMAT ")", what, pid) : g_strdup(what);
        add_name(names, name);
    }
    return g_string_free(names, FALSE);
}

static void
print_table(GPtrArray *answers, gboolean legend)
{
    g_autoptr(DlkTable) table =
        dlk_table_new((const char *const[]){"ELEMENT", "MODE", "STATE", "HOLDER", "PATH", NULL});
    dlk_table_set_flexible(table, FLEXIBLE_COLUMNS);
    for (guint i = 0; i < answers->len; i++) {
        const Answer *answer = g_ptr_array_index(answers, i);
        const char *state = state_of(answer);
        g_autofree char *holders = answer->report ? describe_holders(answer->report) : NULL;
        dlk_table_add(table,
                      (const char *const[]){answer->disk->element, dlk_mode_to_string(answer->disk->mode),
                                            state, holders, answer->disk->path},
                      is_available(answer) ? DLK_COLOUR_NONE : DLK_COLOUR_ALARM);
    }
    dlk_table_print(table, legend, 0);
}

static GVariant *
describe(const Answer *answer)
{
    const DlkDomainDisk *disk = answer->disk;
    g_auto(GVariantBuilder) object = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&object, "{sv}", "element", g_variant_new_string(disk->element));
    g_variant_builder_add(&object, "{sv}", "line", g_variant_new_uint32(disk->line));
    g_variant_builder_add(&object, "{sv}", "path", g_variant_new_string(disk->path));
    g_variant_builder_add(&object, "{sv}", "mode", g_variant_new_string(dlk_mode_to_string(disk->mode)));
    g_variant_builder_add(&object, "{sv}", "optional", g_variant_new_boolean(disk->optional));
    if (disk->format)
        g_variant_builder_add(&object, "{sv}", "format", g_variant_new_string(disk->format));
    g_variant_builder_add(&object, "{sv}", "state", g_variant_new_string(state_of(answer)));
    g_variant_builder_add(&object, "{sv}", "available", g_variant_new_boolean(is_available(answer)));
    if (answer->report)
        g_variant_builder_add(&object, "{sv}", "report", answer->report);
    return g_variant_builder_end(&object);
}

static void
print_json(GPtrArray *answers, DlkJsonStyle style)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < answers->len; i++)
        g_variant_builder_add_value(&list, describe(g_ptr_array_index(answers, i)));
    dlk_json_print(g_variant_builder_end(&list), style);
}

/* A disk that is known not to be had decides; then the first that could not be asked about. */
static int
conclude(GPtrArray *answers)
{
    int code = DLK_EXIT_SUCCESS;
    gboolean busy = FALSE;
    for (guint i = 0; i < answers->len; i++) {
        const Answer *answer = g_ptr_array_index(answers, i);
        const gboolean available = is_available(answer);
        busy = busy || (!available && (answer->report || is_missing(answer)));
        if (!answer->failure || available)
            continue;
        g_autoptr(GError) named = g_error_copy(answer->failure);
        g_dbus_error_strip_remote_error(named);
        dlk_warn("%s: %s", answer->disk->element, named->message);
        code = code == DLK_EXIT_SUCCESS ? (int)dlk_failure_code(answer->failure) : code;
    }
    return busy ? DLK_EXIT_BUSY : code;
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = NULL;
    g_autoptr(DlkDomainFile) file = dlk_domain_file_read(invocation->arguments[0], &error);
    g_autoptr(GPtrArray) disks = file ? dlk_domain_parse(file->xml, file->length, &error) : NULL;
    if (disks)
        connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    g_autoptr(GPtrArray) answers = g_ptr_array_new_with_free_func((GDestroyNotify)answer_free);
    for (guint i = 0; i < disks->len; i++) {
        Answer *answer = ask(connection, g_ptr_array_index(disks, i));
        g_ptr_array_add(answers, answer);
        if (answer->failure && !is_about_disk(answer->failure))
            return dlk_failure_report(answer->failure);
    }
    if (invocation->settings->json != DLK_JSON_OFF)
        print_json(answers, invocation->settings->json);
    else
        print_table(answers, invocation->settings->legend);
    return conclude(answers);
}

const DlkCommand dlk_command_domain_inspect = {
    .name = "domain inspect",
    .parameters = "FILE|-",
    .summary = "Say of every disk of a libvirt domain who has it",
    .details =
        "FILE is what `virsh dumpxml` prints; - is standard input. Nothing is taken. Disks that the "
        "XML does not name, the\nbacking files in the headers of images, are looked at by domain acquire "
        "alone.\n\n"
        "The exit code is 3 where a disk could not be taken in the mode that the domain needs.",
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run,
};
