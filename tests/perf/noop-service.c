/*
 * The least that a GDBus service can be: one object, one method, which does nothing. What a call of it costs
 * is what the bus, GDBus and the machine cost.
 *   noop-service      on the system bus, as org.disklock.Perf
 */
#include "noop.h"

#include <gio/gio.h>
#include <stdlib.h>

static void
on_method_call(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
               const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
               gpointer user_data)
{
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
    GDBusMethodInfo method = {.ref_count = -1, .name = (char *)NOOP_METHOD};
    GDBusMethodInfo *methods[] = {&method, NULL};
    GDBusInterfaceInfo interface = {.ref_count = -1, .name = (char *)NOOP_NAME, .methods = methods};
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

    g_bus_own_name(G_BUS_TYPE_SYSTEM, NOOP_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, on_bus_acquired, NULL,
                   on_name_lost, &interface, NULL);
    g_main_loop_run(loop);
    return EXIT_SUCCESS;
}
