/*
 * The least that a GDBus service can be: one object with a method that does nothing. What a call of it costs
 * is what the bus, GDBus and the machine cost. Two more methods take and give what Acquire and Release do,
 * and the one has a job that does nothing done by a worker: what is left when nothing is looked up, locked,
 * written down or told.
 *   noop-service      on the system bus, as org.disklock.Perf
 */
#include "noop.h"

#include "host/pool.h"

#include <stdlib.h>

#define LEASE NOOP_PATH "/leases/0123456789abcdef0123456789abcdef"

static const char xml[] = "<node><interface name='" NOOP_NAME "'>"
                          "<method name='" NOOP_METHOD "'/>"
                          "<method name='" NOOP_ACQUIRE "'>"
                          "<arg direction='in' type='s'/><arg direction='in' type='s'/>"
                          "<arg direction='in' type='a{sv}'/>"
                          "<arg direction='out' type='o'/><arg direction='out' type='t'/></method>"
                          "<method name='" NOOP_RELEASE "'><arg direction='in' type='o'/></method>"
                          "</interface></node>";

static gpointer
run_nothing(gpointer input, GError **error)
{
    return NULL;
}

static const DlkJob job = {"nothing", run_nothing, NULL, NULL};

static DlkPool *pool;

static void
on_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    dlk_pool_run_finish(pool, result, NULL);
    g_dbus_method_invocation_return_value(user_data, g_variant_new("(ot)", LEASE, G_GUINT64_CONSTANT(1)));
}

static void
on_method_call(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
               const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
               gpointer user_data)
{
    if (g_str_equal(method, NOOP_ACQUIRE))
        dlk_pool_run_async(pool, &job, NULL, "lane", NULL, G_MAXINT64, on_done, invocation);
    else
        g_dbus_method_invocation_return_value(invocation, NULL);
}

static const GDBusInterfaceVTable vtable = {on_method_call, NULL, NULL, {0}};

static void
on_bus_acquired(GDBusConnection *connection, const char *name, gpointer interface)
{
    g_dbus_connection_register_object(connection, NOOP_PATH, interface, &vtable, NULL, NULL, NULL);
}

static void
on_name_lost(GDBusConnection *connection, const char *name, gpointer user_data)
{
    g_printerr("noop-service: %s cannot be had\n", name);
    exit(EXIT_FAILURE);
}

int
main(void)
{
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(xml, NULL);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

    pool = dlk_pool_new(NULL);
    g_bus_own_name(G_BUS_TYPE_SYSTEM, NOOP_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, on_bus_acquired, NULL,
                   on_name_lost, g_dbus_node_info_lookup_interface(node, NOOP_NAME), NULL);
    g_main_loop_run(loop);
    return EXIT_SUCCESS;
}
