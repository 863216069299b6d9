#include "argument.h"
#include "base/error.h"
#include "base/text.h"
#include "command.h"
#include "connection.h"
#include "failure.h"
#include "printable.h"

#include <stdio.h>
#include <unistd.h>

static char *option_reason;
static gboolean option_yes;

static const GOptionEntry options[] = {
    {"reason", 'r', 0, G_OPTION_ARG_FILENAME, &option_reason, "Why, for the journal", "TEXT"},
    {"yes", 'y', 0, G_OPTION_ARG_NONE, &option_yes, "Do not ask", NULL},
    {NULL},
};

static const char details[] =
    "HOST is the id of a host, or its name, as inspect shows them. Fence a host only when it is off, or cut\n"
    "off from the disk: but for the backend scsi nothing keeps it from writing on, and the disk is "
    "destroyed.";

/* Its records, or not all of them, could not be read: then nobody knows whom a name means. */
static void
check_report(GVariant *report, const char *path, GError **error)
{
    const char *state = "unknown", *problem = NULL;
    (void)g_variant_lookup(report, "state", "&s", &state);
    if (g_variant_lookup(report, "problem", "&s", &problem) || g_str_equal(state, "unknown"))
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "who holds %s cannot be told%s%s", path,
                    problem ? ": " : "", problem ? problem : "");
}

/* What the records say, as far as the caller may know. With @error what they say is not all, or %NULL. */
static GVariant *
read_holders(DlkConnection *connection, const char *path, GError **error)
{
    const DlkCall call = {
        .method = "Inspect",
        .arguments = g_variant_new("(s)", path),
        .reply_type = G_VARIANT_TYPE("(a{sv})"),
        .quiet = TRUE,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, error);
    if (!reply) {
        g_prefix_error(error, "who holds %s cannot be told: ", path);
        return NULL;
    }
    g_autoptr(GVariant) report = g_variant_get_child_value(reply, 0);
    check_report(report, path, error);
    return g_variant_lookup_value(report, "holders", G_VARIANT_TYPE("aa{sv}"));
}

static const char *
text_of(GVariant *holder, const char *key)
{
    const char *text = NULL;
    return g_variant_lookup(holder, key, "&s", &text) ? text : NULL;
}

static gboolean
is_unconfirmed(GVariant *holder)
{
    gboolean unconfirmed = FALSE;
    return g_variant_lookup(holder, "unconfirmed", "b", &unconfirmed) && unconfirmed;
}

/* %NULL where it is not this @holder. */
static const char *
match(GVariant *holder, const char *name)
{
    const char *host = text_of(holder, "host");
    return host && (g_str_equal(host, name) || g_strcmp0(text_of(holder, "host-name"), name) == 0) ? host
                                                                                                   : NULL;
}

/*
 * The id of the host that is called @name. Names are believed where a lock stands behind the record: others
 * may be made up. What no record has is taken for an id, as a host may hold something that names it nowhere.
 * Free with g_free().
 */
static char *
find_host(GVariant *holders, const char *name, GError **error)
{
    g_autofree char *found = NULL;
    const char *doubtful = NULL;
    for (gsize i = 0; holders && i < g_variant_n_children(holders); i++) {
        g_autoptr(GVariant) holder = g_variant_get_child_value(holders, i);
        const char *host = match(holder, name);
        if (!host)
            continue;
        if (is_unconfirmed(holder)) {
            doubtful = g_str_equal(host, name) ? doubtful : host;
            continue;
        }
        if (found && !g_str_equal(found, host)) {
            g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                        "%s is the name of several hosts (%s, %s): give the id of the one that is meant",
                        name, found, host);
            return NULL;
        }
        g_free(found);
        found = g_strdup(host);
    }
    if (found || !doubtful)
        return found ? g_steal_pointer(&found) : g_strdup(name);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "that %s is the host %s is said by a record alone, behind which no lock stands and which may "
                "be made up: give the id of the host that is meant",
                name, doubtful);
    return NULL;
}

static void
show_hold(GVariant *holder)
{
    const char *owner = text_of(holder, "owner"), *mode = text_of(holder, "mode");
    guint64 since = 0;
    g_autofree char *clean = dlk_printable(owner ? owner : "nobody knows whom");
    (void)g_variant_lookup(holder, "since", "t", &since);
    g_autofree char *time = since != 0 ? dlk_text_time((gint64)since) : g_strdup("nobody knows when");
    fprintf(stderr, "  %s, for %s, since %s%s\n", mode ? mode : "held", clean, time,
            is_unconfirmed(holder) ? " (unconfirmed)" : "");
}

/* What goes with it, as far as it is known. */
static void
show_holds(GVariant *holders, const char *host)
{
    for (gsize i = 0; holders && i < g_variant_n_children(holders); i++) {
        g_autoptr(GVariant) holder = g_variant_get_child_value(holders, i);
        if (g_strcmp0(text_of(holder, "host"), host) == 0)
            show_hold(holder);
    }
}

static gboolean
confirm(GVariant *holders, const char *path, const char *host)
{
    char answer[16] = "";
    g_autofree char *clean_path = dlk_printable(path);
    g_autofree char *clean_host = dlk_printable(host);
    fprintf(stderr, "Remove what host %s holds of %s?\n", clean_host, clean_path);
    show_holds(holders, host);
    fprintf(stderr, "If that host still writes, the disk is destroyed. [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static GVariant *
options_for_call(void)
{
    GVariantDict dictionary;
    g_variant_dict_init(&dictionary, NULL);
    if (option_reason)
        g_variant_dict_insert(&dictionary, "reason", "s", option_reason);
    return g_variant_dict_end(&dictionary);
}

static void
print_count(guint32 removed, const char *host, const DlkSettings *settings)
{
    g_autofree char *clean = dlk_printable(host);
    if (settings->json != DLK_JSON_OFF)
        dlk_json_print(g_variant_new_parsed("{'Removed': <%u>}", removed), settings->json);
    else if (settings->legend && removed == 0)
        printf(
            "A host with the id %s holds nothing of it; the ids of those who do: disklockctl inspect PATH\n",
            clean);
    else if (settings->legend)
        printf("%u %s of host %s removed.\n", removed, removed == 1 ? "hold" : "holds", clean);
}

/* @unread: why the records could not be read, or %NULL. A name that they might have resolved is no id, and
 * that nothing was removed says nothing then. */
static gboolean
fence(DlkConnection *connection, const char *path, const char *host, const DlkSettings *settings,
      const GError *unread, GError **error)
{
    guint32 removed;
    const DlkCall call = {
        .method = "Fence",
        .arguments = g_variant_new("(ss@a{sv})", path, host, options_for_call()),
        .reply_type = G_VARIANT_TYPE("(u)"),
    };
    g_autoptr(GVariant) reply = dlk_connection_call(connection, &call, error);
    if (!reply)
        return FALSE;
    g_variant_get(reply, "(u)", &removed);
    print_count(removed, host, settings);
    if (removed > 0 || !unread)
        return TRUE;
    *error = g_error_copy(unread);
    return FALSE;
}

/* The absolute path, or %NULL. */
static char *
check_arguments(char **arguments, GError **error)
{
    if (!dlk_argument_text("HOST", arguments[1], error) ||
        (option_reason && !dlk_argument_text("--reason", option_reason, error)))
        return NULL;
    if (option_yes || isatty(STDIN_FILENO))
        return dlk_argument_path(arguments[0], error);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "nobody can be asked here whether that host is really dead: say --yes");
    return NULL;
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GError) unread = NULL;
    g_autofree char *path = check_arguments(invocation->arguments, &error);
    g_autoptr(DlkConnection) connection = path ? dlk_connection_open(invocation->settings, &error) : NULL;
    g_autoptr(GVariant) holders = connection ? read_holders(connection, path, &unread) : NULL;
    g_autofree char *host = connection ? find_host(holders, invocation->arguments[1], &error) : NULL;
    if (!host)
        return (int)dlk_failure_report(error);
    if (!option_yes && !confirm(holders, path, host)) {
        dlk_warn("nothing was done");
        return DLK_EXIT_FAILURE;
    }
    if (!fence(connection, path, host, invocation->settings, unread, &error))
        return (int)dlk_failure_report(error);
    return DLK_EXIT_SUCCESS;
}

const DlkCommand dlk_command_fence = {
    .name = "fence",
    .parameters = "PATH HOST",
    .summary = "Remove what a dead host holds of a disk",
    .details = details,
    .min_arguments = 2,
    .max_arguments = 2,
    .options = {options},
    .run = run,
};
