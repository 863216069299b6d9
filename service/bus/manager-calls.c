#include "base/error.h"
#include "bus/handlers.h"

gboolean
dlk_inspect_prepare(DlkCall *call, GError **error)
{
    const char *path;

    g_variant_get(call->parameters, "(&s)", &path);
    call->details = g_variant_ref_sink(g_variant_new_parsed("{'path': %s}", path));
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
    const char *path;

    g_variant_get(call->parameters, "(&s)", &path);
    dlk_engine_inspect_async(call->engine, path, call->caller->uid, on_inspected, call);
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

void
dlk_unsupported_run(DlkCall *call)
{
    dlk_call_fail(call, g_error_new(DLK_ERROR, DLK_ERROR_UNSUPPORTED, "no backend of this version can do %s",
                                    call->member->name));
}
