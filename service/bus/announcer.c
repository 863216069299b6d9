#include "bus/announcer.h"

#include "bus/handlers.h"

#include <string.h>

/* LeasesChanged tells of all that came and went in this time. */
#define GATHER_MS 20

struct _DlkAnnouncer {
    DlkEngine *engine;
    GDBusConnection *connection;
    GPtrArray *acquired; /* of object paths */
    GPtrArray *released;
    guint timeout;
    gboolean heard; /* the name is ours: who listens to it hears what is sent */
};

static void
emit(DlkAnnouncer *self, const char *path, const char *interface, const char *name, GVariant *value)
{
    /* Fails only where the connection is gone, and then nobody is there to hear it. */
    g_dbus_connection_emit_signal(self->connection, NULL, path, interface, name, value, NULL);
}

static GVariant *
take_paths(GPtrArray *paths)
{
    GVariant *value = g_variant_new_objv((const char *const *)paths->pdata, paths->len);

    g_ptr_array_set_size(paths, 0);
    return value;
}

static gboolean
on_gathered(gpointer user_data)
{
    DlkAnnouncer *self = user_data;
    GVariant *acquired = take_paths(self->acquired);
    GVariant *released = take_paths(self->released);

    self->timeout = 0;
    emit(self, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, "LeasesChanged",
         g_variant_new("(@ao@ao)", acquired, released));
    return G_SOURCE_REMOVE;
}

static void
gather(DlkAnnouncer *self, GPtrArray *paths, const DlkLease *lease)
{
    g_ptr_array_add(paths, dlk_lease_object_path(lease));
    if (self->timeout == 0)
        self->timeout = g_timeout_add(GATHER_MS, on_gathered, self);
}

static void
on_acquired(DlkEngine *engine, DlkLease *lease, DlkAnnouncer *self)
{
    gather(self, self->acquired, lease);
}

static void
on_released(DlkEngine *engine, DlkLease *lease, DlkAnnouncer *self)
{
    gather(self, self->released, lease);
}

static void
on_at_risk(DlkEngine *engine, DlkLease *lease, const char *reason, DlkAnnouncer *self)
{
    g_autofree char *path = dlk_lease_object_path(lease);

    if (!self->heard)
        return;
    lease->told = DLK_STATE_AT_RISK;
    emit(self, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, "LeaseAtRisk", g_variant_new("(os)", path, reason));
}

static void
on_restored(DlkEngine *engine, DlkLease *lease, DlkAnnouncer *self)
{
    g_autofree char *path = dlk_lease_object_path(lease);

    if (!self->heard)
        return;
    lease->told = DLK_STATE_ACTIVE;
    emit(self, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, "LeaseRestored", g_variant_new("(o)", path));
}

/* Does @text say @name, and not only a longer word that it is part of? */
static gboolean
says(const char *text, const char *name)
{
    const gsize length = name ? strlen(name) : 0;

    for (const char *at = length > 0 ? strstr(text, name) : NULL; at; at = strstr(at + 1, name)) {
        const gboolean begins = at == text || !g_ascii_isalnum(at[-1]);

        if (begins && !g_ascii_isalnum(at[length]))
            return TRUE;
    }
    return FALSE;
}

/* Everybody on the bus reads it here. The service's own reasons name nobody; an administrator writes what he
 * likes. */
static const char *
public_reason(const DlkLease *lease, const char *reason)
{
    if (lease->revoked &&
        (says(reason, lease->path) || says(reason, lease->disk->path) || says(reason, lease->owner)))
        return "revoked by an administrator";
    return reason;
}

static void
on_broken(DlkEngine *engine, DlkLease *lease, const char *reason, DlkAnnouncer *self)
{
    g_autofree char *path = dlk_lease_object_path(lease);
    GVariantDict details;

    if (!self->heard)
        return;
    lease->told = DLK_STATE_BROKEN;
    reason = public_reason(lease, reason);
    g_variant_dict_init(&details, NULL);
    g_variant_dict_insert(&details, "token", "t", lease->token);
    g_variant_dict_insert(&details, "backend", "s", lease->backend);
    g_variant_dict_insert(&details, "on-break", "s", dlk_on_break_to_string(lease->on_break));
    emit(self, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, "LeaseBroken",
         g_variant_new("(os@a{sv})", path, reason, g_variant_dict_end(&details)));
    emit(self, path, DLK_LEASE_INTERFACE, "Broken", g_variant_new("(s)", reason));
}

static void
emit_properties_changed(DlkAnnouncer *self, const char *path, const char *interface, GVariant *changed,
                        const char *const *invalidated)
{
    emit(self, path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
         g_variant_new("(s@a{sv}^as)", interface, changed, invalidated));
}

static void
on_changed(DlkEngine *engine, DlkLease *lease, DlkAnnouncer *self)
{
    static const char *const invalidated[] = {"Mode", "BrokenReason", NULL};
    g_autofree char *path = dlk_lease_object_path(lease);
    GVariantDict changed;

    g_variant_dict_init(&changed, NULL);
    g_variant_dict_insert(&changed, "State", "s", dlk_lease_state_to_string(lease->state));
    emit_properties_changed(self, path, DLK_LEASE_INTERFACE, g_variant_dict_end(&changed), invalidated);
}

static void
on_policy_changed(DlkEngine *engine, DlkAnnouncer *self)
{
    static const char *const invalidated[] = {NULL};
    GVariantDict changed;

    g_variant_dict_init(&changed, NULL);
    g_variant_dict_insert(&changed, "PolicyGeneration", "t", dlk_engine_policy_generation(engine));
    emit_properties_changed(self, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, g_variant_dict_end(&changed),
                            invalidated);
}

/* What became of @lease while nobody could hear it. */
static void
catch_up_with(DlkAnnouncer *self, DlkLease *lease)
{
    if (lease->state == lease->told || lease->state == DLK_STATE_SUSPENDED)
        return;
    if (lease->state == DLK_STATE_BROKEN)
        on_broken(self->engine, lease, lease->broken_reason, self);
    else if (lease->state == DLK_STATE_AT_RISK)
        on_at_risk(self->engine, lease, lease->risk_reason, self);
    else
        on_restored(self->engine, lease, self);
    on_changed(self->engine, lease, self);
}

void
dlk_announcer_begin(DlkAnnouncer *self)
{
    DlkTable *table = dlk_engine_table(self->engine);

    self->heard = TRUE;
    for (DlkLease *lease = dlk_table_next(table, 0); lease; lease = dlk_table_next(table, lease->token))
        catch_up_with(self, lease);
}

DlkAnnouncer *
dlk_announcer_new(DlkEngine *engine, GDBusConnection *connection)
{
    DlkAnnouncer *self = g_new0(DlkAnnouncer, 1);

    self->engine = g_object_ref(engine);
    self->connection = g_object_ref(connection);
    self->acquired = g_ptr_array_new_with_free_func(g_free);
    self->released = g_ptr_array_new_with_free_func(g_free);
    g_signal_connect(engine, "acquired", G_CALLBACK(on_acquired), self);
    g_signal_connect(engine, "released", G_CALLBACK(on_released), self);
    g_signal_connect(engine, "at-risk", G_CALLBACK(on_at_risk), self);
    g_signal_connect(engine, "restored", G_CALLBACK(on_restored), self);
    g_signal_connect(engine, "broken", G_CALLBACK(on_broken), self);
    g_signal_connect(engine, "changed", G_CALLBACK(on_changed), self);
    g_signal_connect(engine, "policy-changed", G_CALLBACK(on_policy_changed), self);
    return self;
}

void
dlk_announcer_free(DlkAnnouncer *self)
{
    g_signal_handlers_disconnect_by_data(self->engine, self);
    g_clear_handle_id(&self->timeout, g_source_remove);
    g_ptr_array_unref(self->acquired);
    g_ptr_array_unref(self->released);
    g_object_unref(self->connection);
    g_object_unref(self->engine);
    g_free(self);
}
