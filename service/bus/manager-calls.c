#include "base/error.h"
#include "base/text.h"
#include "bus/handlers.h"
#include "core/authority.h"

gboolean
dlk_inspect_prepare(DlkCall *call, GError **error)
{
    const char *path;

    g_variant_get(call->parameters, "(&s)", &path);
    dlk_call_set_subject(call, path);
    call->details = g_variant_ref_sink(dlk_authority_details("path", path, NULL));
    return TRUE;
}

static void
on_inspected(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    GError *error = NULL;
    g_autoptr(GVariant) report = dlk_engine_inspect_finish(call->engine, result, &error);

    if (report)
        dlk_call_reply(call, g_variant_new("(@a{sv})", report));
    else
        dlk_call_fail(call, error);
}

void
dlk_inspect_run(DlkCall *call)
{
    DlkInspecting inspecting = {
        .caller = call->caller, .interactive = call->interactive, .prompted = call->prompted};

    g_variant_get(call->parameters, "(&s)", &inspecting.path);
    dlk_engine_inspect_async(call->engine, &inspecting, on_inspected, call);
}

/* ---- Fence ---- */

/* The reason, borrowed from @options, or %NULL for none, where there is nothing wrong. */
static gboolean
read_reason(const DlkCall *call, GVariant *options, const char **reason, GError **error)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;

    *reason = NULL;
    g_variant_iter_init(&iter, options);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
        const gboolean known = g_str_equal(key, "reason");

        if (known && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
            continue;
        g_autofree char *printable = dlk_text_printable(key, 32);
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    known ? "option %s must be a string" : "option %s is not known: there is only reason",
                    printable);
        g_variant_unref(value);
        return FALSE;
    }
    return !g_variant_lookup(options, "reason", "&s", reason) ||
           dlk_call_check_line(call, "reason", *reason, error);
}

gboolean
dlk_fence_prepare(DlkCall *call, GError **error)
{
    g_autoptr(GVariant) options = NULL;
    const char *path, *host, *reason;

    g_variant_get(call->parameters, "(&s&s@a{sv})", &path, &host, &options);
    if (!dlk_call_check_line(call, "host", host, error) || !read_reason(call, options, &reason, error))
        return FALSE;
    dlk_call_set_subject(call, path);
    call->details = g_variant_ref_sink(dlk_authority_details("path", path, "host", host, NULL));
    return TRUE;
}

static void
on_fenced(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    GError *error = NULL;
    guint removed;

    if (dlk_engine_fence_finish(call->engine, result, &removed, &error))
        dlk_call_reply(call, g_variant_new("(u)", removed));
    else
        dlk_call_fail(call, error);
}

void
dlk_fence_run(DlkCall *call)
{
    g_autoptr(GVariant) options = NULL;
    DlkFencing fencing = {
        .caller = call->caller, .interactive = call->interactive, .prompted = call->prompted};

    g_variant_get(call->parameters, "(&s&s@a{sv})", &fencing.path, &fencing.host, &options);
    g_variant_lookup(options, "reason", "&s", &fencing.reason);
    dlk_engine_fence_async(call->engine, &fencing, on_fenced, call);
}

void
dlk_reload_run(DlkCall *call)
{
    GError *error = NULL;

    if (dlk_engine_reload(call->engine, &error))
        dlk_call_reply(call, NULL);
    else
        dlk_call_fail(call, error);
}
