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

/* ---- ReleaseOwner ---- */

typedef struct {
    DlkCall *call;
    gboolean had_own; /* the caller has leases under that name himself */
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

/* The owner's leases, those of the caller's own uid or those of the others; of DlkLease, referenced. */
static GPtrArray *
leases_of_owner(DlkCall *call, gboolean own)
{
    GPtrArray *leases = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_lease_unref);
    DlkTable *table = dlk_engine_table(call->engine);
    const char *owner;

    g_variant_get(call->parameters, "(&s)", &owner);
    for (DlkLease *lease = dlk_table_next(table, 0); lease; lease = dlk_table_next(table, lease->token))
        if (g_str_equal(lease->owner, owner) && (lease->uid == call->caller->uid) == own)
            g_ptr_array_add(leases, dlk_lease_ref(lease));
    return leases;
}

static void
release_all(OwnerRelease *self, GPtrArray *leases)
{
    self->under_way += leases->len;
    for (guint i = 0; i < leases->len; i++)
        dlk_engine_release_by(self->call->engine, g_ptr_array_index(leases, i), self->call->caller,
                              on_one_released, self);
}

static void
release_others(OwnerRelease *self)
{
    g_autoptr(GPtrArray) others = leases_of_owner(self->call, FALSE);

    release_all(self, others);
}

static void
ask_release_any(OwnerRelease *self, gboolean interactive, GAsyncReadyCallback callback)
{
    DlkCall *call = self->call;
    const char *owner;

    g_variant_get(call->parameters, "(&s)", &owner);
    dlk_authority_ask_async(call->engine, call->caller, call->member->action,
                            dlk_authority_details("owner", owner, NULL), interactive, callback, self);
}

/* polkit's no leaves the caller his own, or nothing. That polkit has said nothing is no count: he may try
 * again. Where leases of his own are released, that is the answer. */
static void
go_by_answer(OwnerRelease *self, DlkAnswer answer, GError **error)
{
    if (dlk_answer_is_yes(answer))
        release_others(self);
    else if (!self->had_own && (answer == DLK_ANSWER_NONE || answer == DLK_ANSWER_NOT_ASKED))
        self->error = g_steal_pointer(error);
    owner_release_step(self);
}

static void
on_prompted(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    const DlkAnswer answer = dlk_authority_answer_finish(result, &error);

    go_by_answer(user_data, answer, &error);
}

static void
on_may_list(GObject *source, GAsyncResult *result, gpointer user_data)
{
    OwnerRelease *self = user_data;
    g_autoptr(GPtrArray) others = leases_of_owner(self->call, FALSE);

    if (dlk_authority_ask_finish(self->call->engine, result, NULL, NULL) && others->len > 0)
        ask_release_any(self, TRUE, on_prompted);
    else
        owner_release_step(self);
}

/*
 * A prompt that comes only where somebody else has leases under that name tells the caller so, and he need
 * not be one who may list them. Who may not is prompted where he has none himself, whether others have or
 * not.
 */
static void
on_release_any(GObject *source, GAsyncResult *result, gpointer user_data)
{
    OwnerRelease *self = user_data;
    DlkCall *call = self->call;
    g_autoptr(GError) error = NULL;

    const DlkAnswer answer = dlk_authority_answer_finish(result, &error);

    if (answer != DLK_ANSWER_CHALLENGE || !call->interactive)
        go_by_answer(self, answer, &error);
    else if (!self->had_own)
        ask_release_any(self, TRUE, on_prompted);
    else
        dlk_authority_ask_async(call->engine, call->caller, "inspect", NULL, FALSE, on_may_list, self);
}

/* The caller's own go whatever polkit says. It is asked also where nobody else has any: the time that it
 * takes would tell. */
void
dlk_release_owner_run(DlkCall *call)
{
    g_autoptr(GPtrArray) own = leases_of_owner(call, TRUE);
    OwnerRelease *self = g_new0(OwnerRelease, 1);

    self->call = call;
    self->had_own = own->len > 0;
    self->under_way = 1;
    release_all(self, own);
    ask_release_any(self, FALSE, on_release_any);
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
