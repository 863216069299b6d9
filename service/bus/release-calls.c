#include "base/error.h"
#include "bus/handlers.h"
#include "core/authority.h"

/* Release, ReleaseOwner and Break: what ends leases. */

gboolean
dlk_release_prepare(DlkCall *call, GError **error)
{
    const char *path;

    g_variant_get(call->parameters, "(&o)", &path);
    return dlk_call_set_lease_path(call, path, error);
}

static void
on_released(GError *error, gpointer user_data)
{
    DlkCall *call = user_data;

    if (error)
        dlk_call_fail(call, error);
    else
        dlk_call_reply(call, NULL);
}

void
dlk_release_run(DlkCall *call)
{
    GError *error = NULL;
    DlkLease *lease = dlk_call_find_lease(call, &error);

    if (lease)
        dlk_engine_release_by(call->engine, lease, call->caller, on_released, call);
    else
        dlk_call_fail(call, error);
}

typedef struct {
    DlkCall *call;
    guint under_way;
    guint released;
    GError *error; /* the first */
} OwnerRelease;

static void
owner_release_step(OwnerRelease *self)
{
    if (--self->under_way > 0)
        return;
    if (self->error)
        dlk_call_fail(self->call, self->error);
    else
        dlk_call_reply(self->call, g_variant_new("(u)", self->released));
    g_free(self);
}

static void
on_one_released(GError *error, gpointer user_data)
{
    OwnerRelease *self = user_data;

    if (!error)
        self->released++;
    else if (!self->error)
        self->error = error;
    else
        g_error_free(error);
    owner_release_step(self);
}

/* The owner's leases, all or those of the caller's own uid; of DlkLease, referenced. */
static GPtrArray *
leases_of_owner(DlkCall *call, gboolean all)
{
    GPtrArray *leases = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);
    DlkTable *table = dlk_engine_table(call->engine);
    const char *owner;

    g_variant_get(call->parameters, "(&s)", &owner);
    for (DlkLease *lease = dlk_table_next(table, 0); lease; lease = dlk_table_next(table, lease->token))
        if (g_str_equal(lease->owner, owner) && (all || lease->uid == call->caller->uid))
            g_ptr_array_add(leases, dlk_lease_ref(lease));
    return leases;
}

static void
release_owner(DlkCall *call, gboolean all)
{
    g_autoptr(GPtrArray) leases = leases_of_owner(call, all);
    OwnerRelease *self = g_new0(OwnerRelease, 1);

    self->call = call;
    self->under_way = leases->len + 1;
    for (guint i = 0; i < leases->len; i++)
        dlk_engine_release_by(call->engine, g_ptr_array_index(leases, i), call->caller, on_one_released,
                              self);
    owner_release_step(self);
}

static void
on_release_any(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkCall *call = user_data;

    release_owner(call, dlk_authority_ask_finish(call->engine, result, NULL, NULL));
}

/* Polkit is asked only where somebody else has leases under that name. */
void
dlk_release_owner_run(DlkCall *call)
{
    g_autoptr(GPtrArray) all = leases_of_owner(call, TRUE);
    g_autoptr(GPtrArray) own = leases_of_owner(call, FALSE);
    const char *owner;

    g_variant_get(call->parameters, "(&s)", &owner);
    if (call->caller->uid == 0 || all->len == own->len) {
        release_owner(call, TRUE);
        return;
    }
    call->details = g_variant_ref_sink(g_variant_new_parsed("{'owner': %s}", owner));
    dlk_authority_ask_async(call->engine, call->caller, call->member->action, call->details,
                            call->interactive, on_release_any, call);
}

gboolean
dlk_break_prepare(DlkCall *call, GError **error)
{
    g_autoptr(GVariant) options = NULL;
    const char *path, *reason;

    g_variant_get(call->parameters, "(&o&s@a{sv})", &path, &reason, &options);
    if (!dlk_call_check_no_options(options, error))
        return FALSE;
    if (!dlk_call_check_line(call, "reason", reason, error))
        return FALSE;
    return dlk_call_set_lease_path(call, path, error);
}

void
dlk_break_run(DlkCall *call)
{
    GError *error = NULL;
    DlkLease *lease = dlk_call_find_lease(call, &error);
    const char *reason;

    g_variant_get(call->parameters, "(o&sa{sv})", NULL, &reason, NULL);
    if (lease && dlk_engine_break(call->engine, lease, call->caller, reason, &error))
        dlk_call_reply(call, NULL);
    else
        dlk_call_fail(call, error);
}
