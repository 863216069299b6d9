#include "bus/handlers.h"
#include "core/authority.h"

/* The methods of a lease's own object. */

gboolean
dlk_lease_prepare(DlkCall *call, GError **error)
{
    return dlk_call_set_lease(call, call->lease_node, error);
}

static void
on_checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    DlkLeaseState state = dlk_engine_check_finish(call->engine, result);

    dlk_call_reply(call, g_variant_new("(s)", dlk_lease_state_to_string(state)));
}

/* The lease as it stands now; without one the call is answered. */
static DlkLease *
find_lease(DlkCall *call)
{
    GError *error = NULL;
    DlkLease *lease = dlk_call_find_lease(call, &error);

    if (!lease)
        dlk_call_fail(call, error);
    return lease;
}

void
dlk_check_run(DlkCall *call)
{
    DlkLease *lease = find_lease(call);

    if (lease)
        dlk_engine_check_async(call->engine, lease, on_checked, call);
}

void
dlk_claim_run(DlkCall *call)
{
    DlkLease *lease = find_lease(call);
    GError *error = NULL;

    if (!lease)
        return;
    if (dlk_engine_claim(call->engine, lease, call->caller, &error))
        dlk_call_reply(call, NULL);
    else
        dlk_call_fail(call, error);
}

static void
on_changed(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    GError *error = NULL;

    if (dlk_engine_change_finish(call->engine, result, &error))
        dlk_call_reply(call, NULL);
    else
        dlk_call_fail(call, error);
}

gboolean
dlk_convert_prepare(DlkCall *call, GError **error)
{
    const char *mode_name;

    g_variant_get(call->parameters, "(&s)", &mode_name);
    return dlk_mode_from_string(mode_name, &call->mode, error) && dlk_lease_prepare(call, error);
}

static void
convert(DlkCall *call)
{
    DlkLease *lease = find_lease(call);

    if (lease)
        dlk_engine_convert_async(call->engine, lease, call->mode, call->caller, on_changed, call);
}

static void
on_may_convert(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;
    GError *error = NULL;

    if (dlk_authority_ask_finish(call->engine, result, NULL, &error)) {
        convert(call);
        return;
    }
    g_prefix_error(&error, "%s: ", call->subject);
    dlk_call_fail(call, error);
}

/*
 * The owner was allowed one mode; for another he is asked about as if he acquired anew. Reading only needs no
 * leave, and who opened the disk for writing has proved that he may write.
 */
void
dlk_convert_run(DlkCall *call)
{
    DlkLease *lease = find_lease(call);

    if (!lease)
        return;
    if (call->caller->uid == 0 || call->mode == DLK_MODE_READ_ONLY) {
        convert(call);
        return;
    }

    gboolean proved = lease->by_descriptor && dlk_mode_writes(lease->mode);
    dlk_authority_ask_async(call->engine, call->caller, proved ? "acquire-fd" : "acquire",
                            dlk_authority_lease_details(lease, call->mode), call->interactive, on_may_convert,
                            call);
}

void
dlk_suspend_run(DlkCall *call)
{
    DlkLease *lease = find_lease(call);

    if (lease)
        dlk_engine_suspend_async(call->engine, lease, on_changed, call);
}

void
dlk_resume_run(DlkCall *call)
{
    DlkLease *lease = find_lease(call);

    if (lease)
        dlk_engine_resume_async(call->engine, lease, call->caller, on_changed, call);
}
