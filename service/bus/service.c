#include "bus/service.h"

#include "base/log.h"
#include "bus/announcer.h"
#include "bus/lost-callers.h"
#include "bus/members.h"
#include "bus/objects.h"
#include "bus/passed-fds.h"

#define RETRY_S 1

struct _DlkService {
    DlkEngine *engine;
    DlkServiceFunc func;
    gpointer user_data;

    GCancellable *cancellable; /* of the connecting */
    guint retry;
    GDBusConnection *connection;
    DlkCallers *callers;
    DlkLostCallers *lost_callers;
    DlkPassedFds *passed_fds;
    DlkPolkit *polkit;
    DlkAnnouncer *announcer;
    DlkObjects *objects;
    guint name;
    gboolean was_ready; /* the name was ours once: there may be leases */
};

static void start_connecting(DlkService *self);

static void
leave(DlkService *self)
{
    g_clear_handle_id(&self->name, g_bus_unown_name);
    g_clear_pointer(&self->objects, dlk_objects_free);
    g_clear_pointer(&self->announcer, dlk_announcer_free);
    g_clear_pointer(&self->lost_callers, dlk_lost_callers_free);
    g_clear_pointer(&self->passed_fds, dlk_passed_fds_free);
    /* Callers first: with them go the questions to polkit that are still open. */
    g_clear_pointer(&self->callers, dlk_callers_free);
    dlk_engine_set_polkit(self->engine, NULL);
    g_clear_pointer(&self->polkit, dlk_polkit_free);
    if (self->connection)
        g_signal_handlers_disconnect_by_data(self->connection, self);
    g_clear_object(&self->connection);
    dlk_engine_bus_gone(self->engine);
}

static gboolean
on_retry(gpointer user_data)
{
    DlkService *self = user_data;

    self->retry = 0;
    start_connecting(self);
    return G_SOURCE_REMOVE;
}

static void
retry_later(DlkService *self)
{
    self->retry = g_timeout_add_seconds(RETRY_S, on_retry, self);
}

static void
bus_lost(const char *reason)
{
    const DlkLogField fields[] = {{"DISKLOCK_REASON", reason}, {0}};
    g_autofree char *text =
        g_strdup_printf("The service is off the bus (%s); all leases are kept; trying again", reason);

    dlk_log_event(DLK_EVENT_BUS_LOST, fields, text);
}

static void
on_closed(GDBusConnection *connection, gboolean remote_peer_vanished, GError *error, DlkService *self)
{
    bus_lost(error ? error->message : "the connection was closed");
    leave(self);
    self->func(DLK_SERVICE_LOST, self->user_data);
    g_clear_handle_id(&self->retry, g_source_remove);
    retry_later(self);
}

static void
on_name_acquired(GDBusConnection *connection, const char *name, gpointer user_data)
{
    DlkService *self = user_data;

    self->was_ready = TRUE;
    dlk_engine_await_claims(self->engine);
    dlk_announcer_begin(self->announcer);
    self->func(DLK_SERVICE_READY, self->user_data);
}

static gboolean
on_rejoin(gpointer user_data)
{
    DlkService *self = user_data;

    self->retry = 0;
    leave(self);
    start_connecting(self);
    return G_SOURCE_REMOVE;
}

static void
on_name_lost(GDBusConnection *connection, const char *name, gpointer user_data)
{
    DlkService *self = user_data;

    /* With a closed connection the name goes too; that is not the name's fault. */
    if (!connection || g_dbus_connection_is_closed(connection))
        return;
    if (!self->was_ready) {
        self->func(DLK_SERVICE_NAME_TAKEN, self->user_data);
        return;
    }
    /* With the process would go the locks: whatever the bus has against us now may pass. */
    bus_lost("the bus has taken the name away");
    self->func(DLK_SERVICE_LOST, self->user_data);
    if (self->retry == 0)
        self->retry = g_timeout_add_seconds(RETRY_S, on_rejoin, self);
}

static void
on_caller_gone(DlkCaller *caller, gpointer user_data)
{
    DlkService *self = user_data;

    dlk_engine_caller_gone(self->engine, caller->name);
}

static void
enter(DlkService *self)
{
    self->callers = dlk_callers_new(self->connection, on_caller_gone, self);
    self->passed_fds = dlk_passed_fds_new(self->engine, self->connection, self->callers);
    self->polkit = dlk_polkit_new(self->connection, DLK_POLKIT_PROMPT_MS);
    dlk_engine_set_polkit(self->engine, self->polkit);
    self->announcer = dlk_announcer_new(self->engine, self->connection);
    self->objects = dlk_objects_new(self->engine, self->connection, self->callers);
    g_signal_connect(self->connection, "closed", G_CALLBACK(on_closed), self);
    dlk_engine_bus_joined(self->engine, g_dbus_connection_get_guid(self->connection));
    self->lost_callers = dlk_lost_callers_new(self->engine, self->connection, self->callers);
    self->name =
        g_bus_own_name_on_connection(self->connection, DLK_BUS_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE,
                                     on_name_acquired, on_name_lost, self, NULL);
}

static void
on_connected(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GError) error = NULL;
    GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &error);
    DlkService *self = user_data;

    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return;
    if (!connection) {
        g_message("Cannot connect to the bus: %s; trying again", error->message);
        retry_later(self);
        return;
    }
    self->connection = connection;
    enter(self);
}

/*
 * A connection of our own instead of GLib's shared one: that one ends the process when the bus goes away, and
 * with it would go the locks.
 */
static void
start_connecting(DlkService *self)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

    if (!address) {
        g_message("There is no system bus: %s; trying again", error->message);
        retry_later(self);
        return;
    }
    g_dbus_connection_new_for_address(address,
                                      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                          G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                      NULL, self->cancellable, on_connected, self);
}

DlkService *
dlk_service_new(DlkEngine *engine, DlkServiceFunc func, gpointer user_data)
{
    DlkService *self = g_new0(DlkService, 1);

    self->engine = g_object_ref(engine);
    self->func = func;
    self->user_data = user_data;
    self->cancellable = g_cancellable_new();
    start_connecting(self);
    return self;
}

void
dlk_service_free(DlkService *self)
{
    g_cancellable_cancel(self->cancellable);
    g_clear_handle_id(&self->retry, g_source_remove);
    leave(self);
    g_object_unref(self->cancellable);
    g_object_unref(self->engine);
    g_free(self);
}
