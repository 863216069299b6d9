#pragma once

#include "host/caller.h"

#include <gio/gio.h>

/*
 * What the tests of callers and of polkit share: a real bus of their own, connections to it, and waiting.
 */

#define PATIENCE_S 30

static inline void
fail_for_impatience(gpointer what)
{
    g_error("%s: has not happened in %d s", (const char *)what, PATIENCE_S);
}

/* Runs the main loop until @condition. */
#define wait_until(condition)                                                                                \
    do {                                                                                                     \
        guint patience = g_timeout_add_once(PATIENCE_S * 1000, fail_for_impatience, (gpointer) #condition);  \
        while (!(condition))                                                                                 \
            g_main_context_iteration(NULL, TRUE);                                                            \
        g_source_remove(patience);                                                                           \
    } while (0)

static inline void
keep_result(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GAsyncResult **)user_data = g_object_ref(result);
}

static inline GDBusConnection *
connect_to_bus(GTestDBus *bus)
{
    g_autoptr(GError) error = NULL;
    GDBusConnection *connection = g_dbus_connection_new_for_address_sync(
        g_test_dbus_get_bus_address(bus),
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL,
        NULL, &error);
    g_assert_no_error(error);
    return connection;
}

static inline void
leave_bus(GDBusConnection *connection)
{
    g_dbus_connection_close_sync(connection, NULL, NULL);
    g_object_unref(connection);
}
