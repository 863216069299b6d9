#include "disk-set.h"

#include "bus/members.h"
#include "subject.h"

#define OWNER "perf-set"

static GVariant *
call(GDBusConnection *connection, const char *method, GVariant *parameters)
{
    g_autoptr(GError) error = NULL;
    GVariant *reply =
        g_dbus_connection_call_sync(connection, DLK_BUS_NAME, DLK_MANAGER_PATH, DLK_MANAGER_INTERFACE, method,
                                    parameters, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);

    if (!reply)
        die(method, error);
    return reply;
}

static GVariant *
options(void)
{
    return g_variant_new_parsed("{'owner': <%s>}", OWNER);
}

static GVariant *
set_parameters(const char *const *paths)
{
    GVariantBuilder disks;

    g_variant_builder_init(&disks, G_VARIANT_TYPE("a(ss)"));
    for (; *paths; paths++)
        g_variant_builder_add(&disks, "(ss)", *paths, "exclusive");
    return g_variant_new("(a(ss)@a{sv})", &disks, options());
}

double
disk_set_acquire(GDBusConnection *connection, const char *const *paths)
{
    GVariant *parameters =
        paths[1] ? set_parameters(paths) : g_variant_new("(ss@a{sv})", paths[0], "exclusive", options());
    gint64 begin = g_get_monotonic_time();

    g_variant_unref(call(connection, paths[1] ? "AcquireSet" : "Acquire", parameters));
    gint64 end = g_get_monotonic_time();
    g_variant_unref(call(connection, "ReleaseOwner", g_variant_new("(s)", OWNER)));
    return (double)(end - begin);
}
