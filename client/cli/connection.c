#include "connection.h"

#include "base/error.h"
#include "password-agent.h"

#include <unistd.h>

#define PATIENCE_MS 30000
/* A person has to find and type a password meanwhile. */
#define PROMPT_PATIENCE_MS 180000
#define PING_PATIENCE_MS 5000

struct _DlkConnection {
    GDBusConnection *bus;
    gboolean may_ask;
    DlkPasswordAgent *agent; /* %NULL until a call may need it */
};

DlkConnection *
dlk_connection_open(const DlkSettings *settings, GError **error)
{
    g_autoptr(GError) cause = NULL;
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &cause);
    if (!bus) {
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
            "the system bus cannot be reached: %s\nDBUS_SYSTEM_BUS_ADDRESS=%s\nsee systemctl status dbus",
            cause->message, g_getenv("DBUS_SYSTEM_BUS_ADDRESS") ?: "(unset: /run/dbus/system_bus_socket)");
        return NULL;
    }
    g_dbus_connection_set_exit_on_close(bus, FALSE);
    DlkConnection *self = g_new0(DlkConnection, 1);
    self->bus = bus;
    /* Root is never asked. Like systemctl, look at stdin: the answer comes from there. */
    self->may_ask = settings->ask_password && geteuid() != 0 && isatty(STDIN_FILENO);
    return self;
}

void
dlk_connection_close(DlkConnection *self)
{
    g_clear_pointer(&self->agent, dlk_password_agent_stop);
    g_dbus_connection_close_sync(self->bus, NULL, NULL);
    g_object_unref(self->bus);
    g_free(self);
}

GVariant *
dlk_connection_call(DlkConnection *self, const DlkCall *call, GError **error)
{
    const gboolean may_ask = self->may_ask && !call->quiet;
    const guint64 patience = (guint64)call->wait_ms + PATIENCE_MS + (may_ask ? PROMPT_PATIENCE_MS : 0);
    if (may_ask && !self->agent)
        self->agent = dlk_password_agent_start();
    return g_dbus_connection_call_with_unix_fd_list_sync(
        self->bus, DLK_BUS_NAME, call->object ?: DLK_MANAGER_PATH, call->interface ?: DLK_MANAGER_INTERFACE,
        call->method, call->arguments, call->reply_type,
        may_ask ? G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION : G_DBUS_CALL_FLAGS_NONE,
        (int)MIN(patience, G_MAXINT), call->descriptors, call->reply_descriptors, NULL, error);
}

GVariant *
dlk_connection_get_all(DlkConnection *self, const char *object, const char *interface, gboolean quiet,
                       GError **error)
{
    const DlkCall call = {
        .object = object,
        .interface = "org.freedesktop.DBus.Properties",
        .method = "GetAll",
        .arguments = g_variant_new("(s)", interface),
        .reply_type = G_VARIANT_TYPE("(a{sv})"),
        .quiet = quiet,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(self, &call, error);
    return reply ? g_variant_get_child_value(reply, 0) : NULL;
}

gboolean
dlk_connection_ping(DlkConnection *self, const char *name, GError **error)
{
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_sync(self->bus, name, "/", "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                                    G_DBUS_CALL_FLAGS_NONE, PING_PATIENCE_MS, NULL, error);
    return reply != NULL;
}

GDBusConnection *
dlk_connection_bus(DlkConnection *self)
{
    return self->bus;
}
