#include "request.h"

#include "argument.h"
#include "base/error.h"
#include "failure.h"
#include "model/mode.h"
#include "model/on-break.h"

static char *option_mode, *option_owner, *option_owner_uuid, *option_why, *option_backend, *option_on_break;
static char *option_lifetime;
static double option_wait;
static int option_pid;

const GOptionEntry dlk_request_mode_options[] = {
    {"mode", 'm', 0, G_OPTION_ARG_FILENAME, &option_mode, "exclusive (default), shared or read-only", "MODE"},
    {NULL},
};

const GOptionEntry dlk_request_options[] = {
    {"owner", 'o', 0, G_OPTION_ARG_FILENAME, &option_owner, "Whom the lease is for: a VM's name, say",
     "NAME"},
    {"owner-uuid", 0, 0, G_OPTION_ARG_FILENAME, &option_owner_uuid, "The VM's UUID", "UUID"},
    {"why", 0, 0, G_OPTION_ARG_FILENAME, &option_why, "One line for people", "TEXT"},
    {"wait", 'w', 0, G_OPTION_ARG_DOUBLE, &option_wait, "Wait this long for the disk (default: 0)",
     "SECONDS"},
    {"backend", 0, 0, G_OPTION_ARG_FILENAME, &option_backend, "How to lock, where the rule leaves a choice",
     "NAME"},
    {"on-break", 0, 0, G_OPTION_ARG_FILENAME, &option_on_break,
     "What meets the process if the lease breaks: signal (default), pause, terminate, kill or exec",
     "ACTION"},
    {NULL},
};

const GOptionEntry dlk_request_lifetime_options[] = {
    {"lifetime", 'l', 0, G_OPTION_ARG_FILENAME, &option_lifetime,
     "persistent: until it is released (default); process: until the process of --pid ends", "LIFETIME"},
    {"pid", 'p', 0, G_OPTION_ARG_INT, &option_pid, "The process that the lease is for", "PID"},
    {NULL},
};

static gboolean
add_text(DlkRequest *request, const char *key, const char *value, GError **error)
{
    g_autofree char *option = g_strconcat("--", key, NULL);
    if (!value)
        return TRUE;
    if (!dlk_argument_text(option, value, error))
        return FALSE;
    g_variant_dict_insert(&request->options, key, "s", value);
    return TRUE;
}

/* The owner that disklockctl thought of itself: what cannot travel is made to. */
static void
add_default_owner(DlkRequest *request, const char *owner)
{
    g_autofree char *valid = g_utf8_make_valid(owner, -1);
    g_variant_dict_insert(&request->options, "owner", "s", valid);
}

gboolean
dlk_request_read(DlkRequest *request, const char *path, const char *default_owner, GError **error)
{
    DlkMode mode = DLK_MODE_EXCLUSIVE;
    DlkOnBreak on_break;
    g_variant_dict_init(&request->options, NULL);
    if ((option_mode && !dlk_mode_from_string(option_mode, &mode, error)) ||
        (option_on_break && !dlk_on_break_from_string(option_on_break, &on_break, error)) ||
        !dlk_argument_seconds("--wait", option_wait, &request->wait_ms, error))
        return FALSE;
    request->mode = dlk_mode_to_string(mode);
    request->path = path ? dlk_argument_path(path, error) : NULL;
    if ((path && !request->path) || !add_text(request, "owner", option_owner, error) ||
        !add_text(request, "owner-uuid", option_owner_uuid, error) ||
        !add_text(request, "why", option_why, error) ||
        !add_text(request, "backend", option_backend, error) ||
        !add_text(request, "on-break", option_on_break, error))
        return FALSE;
    if (!option_owner && default_owner)
        add_default_owner(request, default_owner);
    if (request->wait_ms > 0)
        g_variant_dict_insert(&request->options, "wait", "u", request->wait_ms);
    return TRUE;
}

gboolean
dlk_request_add_lifetime(DlkRequest *request, GError **error)
{
    const char *lifetime = option_lifetime ?: "persistent";
    if (!g_str_equal(lifetime, "persistent") && !g_str_equal(lifetime, "process")) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "--lifetime must be persistent or process; for the time of one command: disklockctl run");
        return FALSE;
    }
    if (option_pid < 0 || (option_pid == 0 && g_str_equal(lifetime, "process"))) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "--lifetime=process needs --pid=PID: disklockctl itself ends at once");
        return FALSE;
    }
    g_variant_dict_insert(&request->options, "lifetime", "s", lifetime);
    if (option_pid > 0)
        g_variant_dict_insert(&request->options, "pid", "u", (guint32)option_pid);
    return TRUE;
}

void
dlk_request_clear(DlkRequest *request)
{
    g_clear_pointer(&request->path, g_free);
    g_variant_dict_clear(&request->options);
}

GVariant *
dlk_request_arguments(DlkRequest *request)
{
    return g_variant_new("(ss@a{sv})", request->path, request->mode, g_variant_dict_end(&request->options));
}

DlkExitCode
dlk_request_report_failure(const DlkRequest *request, const GError *error)
{
    const DlkExitCode code = dlk_failure_report(error);
    if (code == DLK_EXIT_BUSY && request->wait_ms == 0)
        dlk_hint("to wait for it: --wait=SECONDS");
    return code;
}
