#include "core/connection.h"

#include "base/error.h"
#include "core/holding.h"
#include "core/record.h"

static void
on_nobody_came(gpointer user_data)
{
    DlkLease *lease = user_data;

    dlk_holding(lease)->claim_timer = NULL;
    dlk_engine_release(dlk_holding(lease)->engine, lease,
                       "its connection was lost, and nobody has claimed it since");
}

static void
begin_grace(DlkEngine *engine, DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);

    dlk_timers_cancel(engine->timers, &holding->claim_timer);
    holding->claim_timer = dlk_timers_add(
        engine->timers, g_get_monotonic_time() + lease->rule->connection_grace, on_nobody_came, lease);
}

/* Whoever knows the name knows nothing of other buses: the lease is one of this. */
static void
enter(DlkEngine *engine, DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);
    GHashTable *leases = g_hash_table_lookup(engine->connections, holding->bus_name);

    if (!leases) {
        leases = g_hash_table_new(NULL, NULL);
        g_hash_table_insert(engine->connections, g_strdup(holding->bus_name), leases);
    }
    g_hash_table_add(leases, lease);
}

static void
leave(DlkEngine *engine, DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);
    GHashTable *leases =
        holding->bus_name ? g_hash_table_lookup(engine->connections, holding->bus_name) : NULL;

    dlk_timers_cancel(engine->timers, &holding->claim_timer);
    if (g_hash_table_remove(engine->unclaimed, lease) || !leases)
        return;
    g_hash_table_remove(leases, lease);
    if (g_hash_table_size(leases) == 0)
        g_hash_table_remove(engine->connections, holding->bus_name);
}

static void
set_name(DlkLease *lease, const char *bus, const char *bus_name)
{
    DlkHolding *holding = dlk_holding(lease);

    g_clear_pointer(&holding->bus, g_ref_string_release);
    g_free(holding->bus_name);
    holding->bus = bus ? g_ref_string_new_intern(bus) : NULL;
    holding->bus_name = g_strdup(bus_name);
}

void
dlk_connection_watch(DlkEngine *engine, DlkLease *lease, const char *bus_name)
{
    set_name(lease, engine->bus, bus_name);
    enter(engine, lease);
}

void
dlk_connection_recover(DlkEngine *engine, DlkLease *lease, const char *bus, const char *bus_name)
{
    set_name(lease, bus, bus_name);
    g_hash_table_add(engine->unclaimed, lease);
}

void
dlk_connection_unwatch(DlkEngine *engine, DlkLease *lease)
{
    leave(engine, lease);
    set_name(lease, NULL, NULL);
}

void
dlk_connection_init_engine(DlkEngine *engine)
{
    engine->connections =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    engine->unclaimed = g_hash_table_new(NULL, NULL);
}

/* ---- the bus comes and goes ---- */

static gboolean
was_on_this_bus(const DlkEngine *engine, const DlkLease *lease)
{
    const DlkHolding *holding = dlk_holding(lease);

    return engine->bus && holding->bus && holding->bus_name && g_str_equal(holding->bus, engine->bus);
}

void
dlk_engine_bus_joined(DlkEngine *self, const char *bus_id)
{
    g_clear_pointer(&self->bus, g_ref_string_release);
    self->bus = g_ref_string_new_intern(bus_id);
}

void
dlk_engine_await_claims(DlkEngine *self)
{
    GHashTableIter iter;
    gpointer lease;

    g_hash_table_iter_init(&iter, self->unclaimed);
    while (g_hash_table_iter_next(&iter, &lease, NULL))
        if (!was_on_this_bus(self, lease))
            begin_grace(self, lease);
}

void
dlk_engine_bus_gone(DlkEngine *self)
{
    GHashTableIter iter;
    gpointer set, lease;

    g_clear_pointer(&self->bus, g_ref_string_release);
    g_hash_table_iter_init(&iter, self->connections);
    while (g_hash_table_iter_next(&iter, NULL, &set)) {
        GHashTableIter leases;

        g_hash_table_iter_init(&leases, set);
        while (g_hash_table_iter_next(&leases, &lease, NULL))
            g_hash_table_add(self->unclaimed, lease);
        g_hash_table_iter_remove(&iter);
    }
    /* Nobody can come as long as there is no bus. */
    g_hash_table_iter_init(&iter, self->unclaimed);
    while (g_hash_table_iter_next(&iter, &lease, NULL))
        dlk_timers_cancel(self->timers, &dlk_holding(lease)->claim_timer);
}

GPtrArray *
dlk_engine_lost_callers(DlkEngine *self)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer lease;

    g_hash_table_iter_init(&iter, self->unclaimed);
    while (g_hash_table_iter_next(&iter, &lease, NULL))
        if (was_on_this_bus(self, lease) && g_hash_table_add(names, dlk_holding(lease)->bus_name))
            g_ptr_array_add(list, g_strdup(dlk_holding(lease)->bus_name));
    return list;
}

void
dlk_engine_caller_back(DlkEngine *self, DlkCaller *caller)
{
    g_autoptr(GPtrArray) leases = dlk_holding_leases_of(self->unclaimed);

    for (guint i = 0; i < leases->len && !dlk_caller_is_gone(caller); i++) {
        DlkLease *lease = g_ptr_array_index(leases, i);

        if (!was_on_this_bus(self, lease) || !g_str_equal(dlk_holding(lease)->bus_name, caller->name))
            continue;
        leave(self, lease);
        enter(self, lease);
    }
}

static void
end_with_connection(DlkEngine *engine, DlkLease *lease)
{
    if (lease->phase == DLK_PHASE_HELD)
        dlk_engine_release(engine, lease, "its connection has left the bus");
}

void
dlk_engine_caller_gone(DlkEngine *self, const char *bus_name)
{
    GHashTable *set = g_hash_table_lookup(self->connections, bus_name);
    g_autoptr(GPtrArray) leases = set ? dlk_holding_leases_of(set) : NULL;
    g_autoptr(GPtrArray) unclaimed = dlk_holding_leases_of(self->unclaimed);

    for (guint i = 0; leases && i < leases->len; i++)
        end_with_connection(self, g_ptr_array_index(leases, i));
    for (guint i = 0; i < unclaimed->len; i++) {
        DlkLease *lease = g_ptr_array_index(unclaimed, i);

        /* One that ended with another of them has nothing left to look at. */
        if (dlk_holding(lease) && was_on_this_bus(self, lease) &&
            g_str_equal(dlk_holding(lease)->bus_name, bus_name))
            end_with_connection(self, lease);
    }
}

/* ---- the claim ---- */

static gboolean
may_claim(DlkEngine *engine, const DlkLease *lease, const DlkCaller *caller, GError **error)
{
    if (lease->uid != caller->uid)
        g_set_error(error, DLK_ERROR, DLK_ERROR_NOT_OWNER,
                    "%s: the lease is uid %u's, who alone may claim it", lease->path, lease->uid);
    else if (lease->phase != DLK_PHASE_HELD || lease->state == DLK_STATE_BROKEN)
        g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST,
                    "%s: the lease is broken (%s): release it and acquire anew", lease->path,
                    lease->broken_reason ? lease->broken_reason : "");
    else if (lease->lifetime != DLK_LIFETIME_CONNECTION)
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
            "%s: the lease does not end with a connection (its lifetime is %s): it need not be claimed",
            lease->path, dlk_lifetime_to_string(lease->lifetime));
    else if (!g_hash_table_contains(engine->unclaimed, lease) || dlk_caller_is_gone(caller))
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_BUSY,
            "%s: the connection that the lease ends with is still there: only one whose connection was "
            "lost, with the bus or with the service, can be claimed",
            lease->path);
    else
        return TRUE;
    return FALSE;
}

static gboolean
is_callers(const DlkEngine *engine, const DlkLease *lease, const DlkCaller *caller)
{
    GHashTable *leases = g_hash_table_lookup(engine->connections, caller->name);

    return leases && g_hash_table_contains(leases, lease);
}

gboolean
dlk_engine_claim(DlkEngine *self, DlkLease *lease, DlkCaller *caller, GError **error)
{
    if (is_callers(self, lease, caller))
        return TRUE;
    if (!may_claim(self, lease, caller, error))
        return FALSE;

    DlkHolding *holding = dlk_holding(lease);
    g_autofree char *name_before = g_strdup(holding->bus_name);
    g_autofree char *bus_before = g_strdup(holding->bus);
    set_name(lease, self->bus, caller->name);
    /* Whom a restart would look for has to be the new one, before he is told. */
    if (!dlk_record_try_change(self, lease, error)) {
        set_name(lease, bus_before, name_before);
        return FALSE;
    }
    leave(self, lease);
    enter(self, lease);
    dlk_journal_lease(DLK_EVENT_ADOPTED, lease, "claimed",
                      "%s holds %s %s with another connection from now on", lease->owner, lease->path,
                      dlk_mode_adverb(lease->mode));
    return TRUE;
}
