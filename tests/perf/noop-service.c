/*
 * The least that a GDBus service can be: one object with a method that does nothing. What a call of it costs
 * is what the bus, GDBus and the machine cost. Two more methods take and give what Acquire and Release do,
 * and the one has a job done by a worker. With a path that does not exist the job does nothing: what is left
 * when nothing is looked up, locked, written down or told. With an image's path the kernel is asked for what
 * no lock can do without, and nothing is made of it: see bare-lock.h.
 *   noop-service      on the system bus, as org.disklock.Perf
 */
#include "bare-lock.h"
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
run(gpointer input, GError **error)
{
    if (input)
        bare_lock_take(input);
    return NULL;
}

static const DlkJob job = {"lock", run, NULL, NULL};

static DlkPool *pool;
/* Of each client, whose calls come one after the other: what its Release gives back. */
static GHashTable *taken;

static void
on_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    dlk_pool_run_finish(pool, result, NULL);
    g_dbus_method_invocation_return_value(user_data, g_variant_new("(ot)", LEASE, G_GUINT64_CONSTANT(1)));
}

static void
acquire(const char *sender, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    const char *path;

    g_variant_get_child(parameters, 0, "&s", &path);
    BareLock *lock = bare_lock_find(path);
    if (lock)
        g_hash_table_replace(taken, g_strdup(sender), lock);
    dlk_pool_run_async(pool, &job, lock, "lane", NULL, G_MAXINT64, on_done, invocation);
}

static void
release(const char *sender, GDBusMethodInvocation *invocation)
{
    g_autofree char *key = NULL;
    BareLock *lock = NULL;

    if (g_hash_table_steal_extended(taken, sender, (gpointer *)&key, (gpointer *)&lock)) {
        bare_lock_give_up(lock);
        dlk_pool_drop(pool, lock, bare_lock_close, "lane");
    }
    g_dbus_method_invocation_return_value(invocation, NULL);
}

static void
on_method_call(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
               const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
               gpointer user_data)
{
    if (g_str_equal(method, NOOP_ACQUIRE))
        acquire(sender, parameters, invocation);
    else if (g_str_equal(method, NOOP_RELEASE))
        release(sender, invocation);
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
    taken = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_bus_own_name(G_BUS_TYPE_SYSTEM, NOOP_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, on_bus_acquired, NULL,
                   on_name_lost, g_dbus_node_info_lookup_interface(node, NOOP_NAME), NULL);
    g_main_loop_run(loop);
    return EXIT_SUCCESS;
}
