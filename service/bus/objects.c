#include "bus/objects.h"

#include "bus/call.h"
#include "bus/handlers.h"
#include "interface-info.h"

/* Introspection of the leases' folder names this many; a client that wants all calls ListLeases. */
#define MAX_NODES 1000

struct _DlkObjects {
    DlkEngine *engine;
    GDBusConnection *connection;
    DlkCallers *callers;
    guint manager, leases;
};

static GDBusInterfaceInfo *
manager_info(void)
{
    return (GDBusInterfaceInfo *)&org_disklock_disk_lock1_manager_interface;
}

static GDBusInterfaceInfo *
lease_info(void)
{
    return (GDBusInterfaceInfo *)&org_disklock_disk_lock1_lease_interface;
}

/*
 * Property accesses come here too, because the vtables have no getters: whether a property may be read can
 * take a question to polkit.
 */
static void
on_method_call(GDBusConnection *connection, const char *sender, const char *object_path,
               const char *interface, const char *method, GVariant *parameters,
               GDBusMethodInvocation *invocation, gpointer user_data)
{
    DlkObjects *self = user_data;
    const char *node =
        g_str_has_prefix(object_path, DLK_LEASES_PATH "/") ? object_path + sizeof DLK_LEASES_PATH : NULL;
    const char *of_interface = interface, *member = method;

    if (g_str_equal(interface, "org.freedesktop.DBus.Properties")) {
        g_variant_get_child(parameters, 0, "&s", &of_interface);
        if (g_str_equal(method, "Get"))
            g_variant_get_child(parameters, 1, "&s", &member);
    }
    dlk_call_start(self->engine, self->callers, invocation, of_interface, member, node);
}

static const GDBusInterfaceVTable vtable = {on_method_call, NULL, NULL, {0}};

static char **
enumerate_leases(GDBusConnection *connection, const char *sender, const char *object_path, gpointer user_data)
{
    DlkObjects *self = user_data;
    DlkTable *table = dlk_engine_table(self->engine);
    GPtrArray *nodes = g_ptr_array_new();

    for (DlkLease *lease = dlk_table_next(table, 0); lease && nodes->len < MAX_NODES;
         lease = dlk_table_next(table, lease->token)) {
        char *id = g_malloc(DLK_LEASE_ID_LENGTH + 1);

        dlk_lease_id_format(&lease->id, id);
        g_ptr_array_add(nodes, id);
    }
    g_ptr_array_add(nodes, NULL);
    return (char **)g_ptr_array_free(nodes, FALSE);
}

/* Every well-formed id has the interface: that there is no such lease is for the call to say, in words. */
static GDBusInterfaceInfo **
introspect_lease(GDBusConnection *connection, const char *sender, const char *object_path, const char *node,
                 gpointer user_data)
{
    DlkLeaseId id;
    GDBusInterfaceInfo **infos;

    if (!node || !dlk_lease_id_parse(node, &id))
        return NULL;
    infos = g_new0(GDBusInterfaceInfo *, 2);
    infos[0] = g_dbus_interface_info_ref(lease_info());
    return infos;
}

static const GDBusInterfaceVTable *
dispatch_lease(GDBusConnection *connection, const char *sender, const char *object_path,
               const char *interface, const char *node, gpointer *out_user_data, gpointer user_data)
{
    *out_user_data = user_data;
    return &vtable;
}

static const GDBusSubtreeVTable subtree = {enumerate_leases, introspect_lease, dispatch_lease, {0}};

DlkObjects *
dlk_objects_new(DlkEngine *engine, GDBusConnection *connection, DlkCallers *callers)
{
    DlkObjects *self = g_new0(DlkObjects, 1);

    self->engine = g_object_ref(engine);
    self->connection = g_object_ref(connection);
    self->callers = callers;
    /* Each can fail only where the path is taken, and on a connection of our own nobody else takes paths. */
    self->manager = g_dbus_connection_register_object(connection, DLK_MANAGER_PATH, manager_info(), &vtable,
                                                      self, NULL, NULL);
    self->leases = g_dbus_connection_register_subtree(connection, DLK_LEASES_PATH, &subtree,
                                                      G_DBUS_SUBTREE_FLAGS_DISPATCH_TO_UNENUMERATED_NODES,
                                                      self, NULL, NULL);
    return self;
}

void
dlk_objects_free(DlkObjects *self)
{
    g_dbus_connection_unregister_object(self->connection, self->manager);
    g_dbus_connection_unregister_subtree(self->connection, self->leases);
    g_object_unref(self->connection);
    g_object_unref(self->engine);
    g_free(self);
}
