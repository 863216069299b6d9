#include "backend/backends.h"
#include "base/error.h"
#include "bus/handlers.h"
#include "config.h"

/* ---- of a lease ---- */

static GVariant *
text(const char *value)
{
    return g_variant_new_string(value ? value : "");
}

static GVariant *
lease_id(const DlkLease *lease)
{
    char id[DLK_LEASE_ID_LENGTH + 1];

    dlk_lease_id_format(&lease->id, id);
    return g_variant_new_string(id);
}

static GVariant *
lease_path(const DlkLease *lease)
{
    return text(lease->path);
}

static GVariant *
lease_disk(const DlkLease *lease)
{
    return text(lease->disk->id);
}

static GVariant *
lease_mode(const DlkLease *lease)
{
    return text(dlk_mode_to_string(lease->mode));
}

static GVariant *
lease_backend(const DlkLease *lease)
{
    return text(lease->backend);
}

static GVariant *
lease_state(const DlkLease *lease)
{
    return text(dlk_lease_state_to_string(lease->state));
}

static GVariant *
lease_owner(const DlkLease *lease)
{
    return text(lease->owner);
}

static GVariant *
lease_owner_uuid(const DlkLease *lease)
{
    return text(lease->owner_uuid);
}

static GVariant *
lease_why(const DlkLease *lease)
{
    return text(lease->why);
}

static GVariant *
lease_uid(const DlkLease *lease)
{
    return g_variant_new_uint32(lease->uid);
}

static GVariant *
lease_pid(const DlkLease *lease)
{
    return g_variant_new_uint32((guint32)lease->pid);
}

static GVariant *
lease_lifetime(const DlkLease *lease)
{
    return text(dlk_lifetime_to_string(lease->lifetime));
}

static GVariant *
lease_on_break(const DlkLease *lease)
{
    return text(dlk_on_break_to_string(lease->on_break));
}

static GVariant *
lease_token(const DlkLease *lease)
{
    return g_variant_new_uint64(lease->token);
}

static GVariant *
lease_acquired_at(const DlkLease *lease)
{
    return g_variant_new_uint64((guint64)lease->acquired_at);
}

static GVariant *
lease_checked_at(const DlkLease *lease)
{
    return g_variant_new_uint64((guint64)lease->checked_at);
}

static GVariant *
lease_broken_reason(const DlkLease *lease)
{
    return text(lease->broken_reason);
}

static GVariant *
lease_is_data_file(const DlkLease *lease)
{
    return g_variant_new_boolean(lease->is_data_file);
}

static const struct {
    const char *name;
    GVariant *(*get)(const DlkLease *lease);
} lease_properties[] = {
    {"Id", lease_id},
    {"Path", lease_path},
    {"Disk", lease_disk},
    {"Mode", lease_mode},
    {"Backend", lease_backend},
    {"State", lease_state},
    {"Owner", lease_owner},
    {"OwnerUuid", lease_owner_uuid},
    {"Why", lease_why},
    {"Uid", lease_uid},
    {"Pid", lease_pid},
    {"Lifetime", lease_lifetime},
    {"OnBreak", lease_on_break},
    {"Token", lease_token},
    {"AcquiredAt", lease_acquired_at},
    {"CheckedAt", lease_checked_at},
    {"BrokenReason", lease_broken_reason},
    {"IsDataFile", lease_is_data_file},
};

GVariant *
dlk_property_of_lease(const DlkLease *lease, const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(lease_properties); i++)
        if (g_str_equal(name, lease_properties[i].name))
            return lease_properties[i].get(lease);
    return NULL;
}

GVariant *
dlk_properties_of_lease(const DlkLease *lease)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    for (guint i = 0; i < G_N_ELEMENTS(lease_properties); i++)
        g_variant_builder_add(&builder, "{sv}", lease_properties[i].name, lease_properties[i].get(lease));
    return g_variant_builder_end(&builder);
}

char *
dlk_lease_object_path(const DlkLease *lease)
{
    char id[DLK_LEASE_ID_LENGTH + 1];

    dlk_lease_id_format(&lease->id, id);
    return g_strconcat(DLK_LEASES_PATH "/", id, NULL);
}

/* ---- of the manager ---- */

static const char *const manager_properties[] = {"Version", "HostId", "Backends", "LeaseCount",
                                                 "PolicyGeneration"};

static GVariant *
manager_property(DlkEngine *engine, const char *name)
{
    if (g_str_equal(name, "Version"))
        return text(PACKAGE_VERSION);
    if (g_str_equal(name, "HostId"))
        return text(dlk_engine_host_id(engine));
    if (g_str_equal(name, "Backends"))
        return g_variant_new_strv(dlk_backends_names(), -1);
    if (g_str_equal(name, "LeaseCount"))
        return g_variant_new_uint32(dlk_table_count(dlk_engine_table(engine)));
    if (g_str_equal(name, "PolicyGeneration"))
        return g_variant_new_uint64(dlk_engine_policy_generation(engine));
    return NULL;
}

static GVariant *
all_manager_properties(DlkEngine *engine)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
    for (guint i = 0; i < G_N_ELEMENTS(manager_properties); i++)
        g_variant_builder_add(&builder, "{sv}", manager_properties[i],
                              manager_property(engine, manager_properties[i]));
    return g_variant_builder_end(&builder);
}

/* ---- the calls ---- */

void
dlk_property_run(DlkCall *call)
{
    GError *error = NULL;
    const DlkLease *lease = call->lease_node ? dlk_call_find_lease(call, &error) : NULL;

    if (error) {
        dlk_call_fail(call, error);
        return;
    }
    dlk_call_reply(call, g_variant_new("(v)", lease ? dlk_property_of_lease(lease, call->member->name)
                                                    : manager_property(call->engine, call->member->name)));
}

void
dlk_all_properties_run(DlkCall *call)
{
    GError *error = NULL;
    const DlkLease *lease = call->lease_node ? dlk_call_find_lease(call, &error) : NULL;

    if (error) {
        dlk_call_fail(call, error);
        return;
    }
    dlk_call_reply(call, g_variant_new("(@a{sv})", lease ? dlk_properties_of_lease(lease)
                                                         : all_manager_properties(call->engine)));
}
