#include "subject.h"

#include "bus/members.h"
#include "noop.h"

#include <stdlib.h>

void
die(const char *what, const GError *error)
{
    g_printerr("perf-client: %s: %s\n", what, error ? error->message : "failed");
    exit(EXIT_FAILURE);
}

Subject *
subject_new(const char *bus, const char *disk)
{
    Subject *self = g_new0(Subject, 1);
    g_autoptr(GError) error = NULL;
    const gboolean is_noop = g_str_equal(disk, "-"), is_bare = g_str_has_prefix(disk, "+");
    const gboolean is_ours = !is_noop && !is_bare && !g_str_equal(disk, "=");

    self->name = g_strdup(is_noop ? "noop" : is_ours || is_bare ? disk : "messages");
    self->path = is_noop   ? NULL
                 : is_bare ? g_strdup(disk + 1)
                 : is_ours ? g_strdup(disk)
                           : g_strdup("/var/lib/libvirt/images/that/does/not/matter.qcow2");
    self->service = is_ours ? DLK_BUS_NAME : NOOP_NAME;
    self->object = is_ours ? DLK_MANAGER_PATH : NOOP_PATH;
    self->interface = is_ours ? DLK_MANAGER_INTERFACE : NOOP_NAME;
    self->connection = g_dbus_connection_new_for_address_sync(
        bus, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, &error);
    if (!self->connection)
        die(bus, error);
    return self;
}

void
subject_free(Subject *self)
{
    g_object_unref(self->connection);
    g_free(self->name);
    g_free(self->path);
    g_free(self);
}

GVariant *
acquire_parameters(const char *path)
{
    return g_variant_new("(ssa{sv})", path, "exclusive", NULL);
}

static GVariant *
call(Subject *self, const char *name, const char *path, const char *interface, const char *method,
     GVariant *parameters)
{
    g_autoptr(GError) error = NULL;
    GVariant *reply = g_dbus_connection_call_sync(self->connection, name, path, interface, method, parameters,
                                                  NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);

    if (!reply)
        die(method, error);
    return reply;
}

static void
call_noop(Subject *self)
{
    g_variant_unref(call(self, NOOP_NAME, NOOP_PATH, NOOP_NAME, NOOP_METHOD, NULL));
}

static void
acquire_and_release(Subject *self)
{
    g_autoptr(GVariant) acquired = call(self, self->service, self->object, self->interface, NOOP_ACQUIRE,
                                        acquire_parameters(self->path));
    const char *lease;

    g_variant_get(acquired, "(&ot)", &lease, NULL);
    g_variant_unref(
        call(self, self->service, self->object, self->interface, NOOP_RELEASE, g_variant_new("(o)", lease)));
}

double
subject_call_twice(Subject *self)
{
    gint64 begin = g_get_monotonic_time();

    if (self->path) {
        acquire_and_release(self);
    } else {
        call_noop(self);
        call_noop(self);
    }
    return (double)(g_get_monotonic_time() - begin);
}
