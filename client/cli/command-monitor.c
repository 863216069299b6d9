#include "base/error.h"
#include "base/text.h"
#include "command.h"
#include "connection.h"
#include "failure.h"
#include "known-leases.h"
#include "leases.h"
#include "printable.h"
#include "terminal.h"

#include <stdio.h>

#define SHOWN_DIGITS 12

typedef struct {
    DlkConnection *connection;
    DlkKnownLeases *known;
    DlkJsonStyle json;
    GMainLoop *loop;
    int code;
} Monitor;

/* One thing that happened; what is NULL is not known or does not apply. */
typedef struct {
    const char *name;
    const char *lease; /* object path */
    const char *reason;
    GVariant *details; /* a{sv} */
    DlkColour colour;
} Event;

static void
print_json(const Event *event, GVariant *lease)
{
    g_auto(GVariantBuilder) line = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&line, "{sv}", "Time", g_variant_new_int64(g_get_real_time()));
    g_variant_builder_add(&line, "{sv}", "Event", g_variant_new_string(event->name));
    if (event->lease)
        g_variant_builder_add(&line, "{sv}", "Lease", g_variant_new_object_path(event->lease));
    if (lease) {
        g_variant_builder_add(&line, "{sv}", "Owner", g_variant_new_string(dlk_lease_string(lease, "Owner")));
        g_variant_builder_add(&line, "{sv}", "Path", g_variant_new_string(dlk_lease_string(lease, "Path")));
    }
    if (event->reason)
        g_variant_builder_add(&line, "{sv}", "Reason", g_variant_new_string(event->reason));
    if (event->details)
        g_variant_builder_add(&line, "{sv}", "Details", event->details);
    /* One line each, whatever the style: a stream of objects is read line by line. */
    dlk_json_print(g_variant_builder_end(&line), DLK_JSON_SHORT);
}

static void
print_line(const Event *event, GVariant *lease)
{
    g_autofree char *time = dlk_text_time(g_get_real_time());
    g_autofree char *name = dlk_printable(event->name);
    GString *line = g_string_new(NULL);
    if (event->lease)
        g_string_append_printf(line, " %.*s", SHOWN_DIGITS, dlk_lease_id(event->lease));
    if (lease) {
        g_autofree char *owner = dlk_printable(dlk_lease_string(lease, "Owner"));
        g_autofree char *path = dlk_printable(dlk_lease_string(lease, "Path"));
        g_string_append_printf(line, " %s %s", owner, path);
    }
    if (event->reason) {
        g_autofree char *reason = dlk_printable(event->reason);
        g_string_append_printf(line, "%s %s", event->lease ? ":" : "", reason);
    }
    if (event->details && g_variant_n_children(event->details) > 0) {
        g_autofree char *json = dlk_json_from_variant(event->details, DLK_JSON_SHORT);
        g_string_append_printf(line, " %s", json);
    }
    printf("%s %s%-12s%s%s\n", time, dlk_terminal_colour(event->colour), name,
           event->colour == DLK_COLOUR_NONE ? "" : dlk_terminal_plain(), line->str);
    g_string_free(line, TRUE);
}

static void
print_event(Monitor *self, const Event *event)
{
    GVariant *lease = event->lease ? dlk_known_leases_get(self->known, event->lease) : NULL;
    if (self->json != DLK_JSON_OFF)
        print_json(event, lease);
    else
        print_line(event, lease);
    if (fflush(stdout) != 0) {
        /* The reader has gone, as in `monitor | head`. */
        self->code = DLK_EXIT_FAILURE;
        g_main_loop_quit(self->loop);
    }
}

static void
print_leases_changed(Monitor *self, GVariant *parameters)
{
    g_autofree const char **acquired = NULL, **released = NULL;
    g_variant_get(parameters, "(^a&o^a&o)", &acquired, &released);
    for (guint i = 0; acquired[i]; i++)
        print_event(self, &(Event){.name = "acquired", .lease = acquired[i]});
    for (guint i = 0; released[i]; i++) {
        print_event(self, &(Event){.name = "released", .lease = released[i], .colour = DLK_COLOUR_FAINT});
        dlk_known_leases_forget(self->known, released[i]);
    }
}

static void
print_properties_changed(Monitor *self, const char *object, GVariant *parameters)
{
    g_autoptr(GVariant) changed = g_variant_get_child_value(parameters, 1);
    print_event(self, &(Event){
                          .name = "changed",
                          .lease = g_str_has_prefix(object, DLK_LEASE_PATH_PREFIX) ? object : NULL,
                          .details = changed,
                      });
}

static gboolean
is_signal(const char *signal, GVariant *parameters, const char *name, const char *type)
{
    return g_str_equal(signal, name) && g_variant_is_of_type(parameters, G_VARIANT_TYPE(type));
}

static void
on_signal(GDBusConnection *bus, const char *sender, const char *object, const char *interface,
          const char *signal, GVariant *parameters, gpointer user_data)
{
    Monitor *self = user_data;
    Event event = {.name = signal};
    g_autoptr(GVariant) details = NULL;
    if (g_str_equal(interface, DLK_LEASE_INTERFACE))
        return; /* a lease's own Broken repeats LeaseBroken for those who watch that lease alone */
    if (is_signal(signal, parameters, "LeasesChanged", "(aoao)")) {
        print_leases_changed(self, parameters);
        return;
    }
    if (is_signal(signal, parameters, "PropertiesChanged", "(sa{sv}as)")) {
        print_properties_changed(self, object, parameters);
        return;
    }
    if (is_signal(signal, parameters, "LeaseBroken", "(osa{sv})")) {
        event = (Event){.name = "broken", .colour = DLK_COLOUR_ALARM};
        g_variant_get(parameters, "(&o&s@a{sv})", &event.lease, &event.reason, &details);
        event.details = details;
    } else if (is_signal(signal, parameters, "LeaseAtRisk", "(os)")) {
        event = (Event){.name = "at-risk", .colour = DLK_COLOUR_WARNING};
        g_variant_get(parameters, "(&o&s)", &event.lease, &event.reason);
    } else if (is_signal(signal, parameters, "LeaseRestored", "(o)")) {
        event = (Event){.name = "restored"};
        g_variant_get(parameters, "(&o)", &event.lease);
    }
    print_event(self, &event);
}

static void
on_service_up(GDBusConnection *bus, const char *name, const char *owner, gpointer user_data)
{
    Monitor *self = user_data;
    dlk_known_leases_fill(self->known);
    print_event(self, &(Event){.name = "service-up", .reason = "disklockd is on the bus"});
}

static void
on_service_down(GDBusConnection *bus, const char *name, gpointer user_data)
{
    Monitor *self = user_data;
    /* This is called for the end of the bus as well. */
    if (bus) {
        print_event(self, &(Event){.name = "service-down",
                                   .reason = "disklockd is not on the bus",
                                   .colour = DLK_COLOUR_WARNING});
    }
}

static void
on_bus_closed(GDBusConnection *bus, gboolean remote_peer_vanished, GError *error, gpointer user_data)
{
    Monitor *self = user_data;
    dlk_warn("the system bus has gone");
    self->code = DLK_EXIT_UNREACHABLE;
    g_main_loop_quit(self->loop);
}

static int
run(const DlkInvocation *invocation)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkConnection) connection = dlk_connection_open(invocation->settings, &error);
    if (!connection)
        return dlk_failure_report(error);
    GDBusConnection *bus = dlk_connection_bus(connection);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(DlkKnownLeases) known = dlk_known_leases_new(connection);
    Monitor self = {
        .connection = connection, .known = known, .json = invocation->settings->json, .loop = loop};
    g_signal_connect(bus, "closed", G_CALLBACK(on_bus_closed), &self);
    const guint subscription = g_dbus_connection_signal_subscribe(
        bus, DLK_BUS_NAME, NULL, NULL, NULL, NULL, G_DBUS_SIGNAL_FLAGS_NONE, on_signal, &self, NULL);
    const guint watch = g_bus_watch_name_on_connection(bus, DLK_BUS_NAME, G_BUS_NAME_WATCHER_FLAGS_AUTO_START,
                                                       on_service_up, on_service_down, &self, NULL);
    g_main_loop_run(loop);
    g_bus_unwatch_name(watch);
    g_dbus_connection_signal_unsubscribe(bus, subscription);
    g_signal_handlers_disconnect_by_data(bus, &self);
    return self.code;
}

const DlkCommand dlk_command_monitor = {
    .name = "monitor",
    .parameters = "",
    .summary = "Print what happens to leases as it happens, until it is stopped",
    .details =
        "Each line is one event: acquired, released, at-risk, restored, broken, changed, service-up or\n"
        "service-down. With --json each is one JSON object on a line.",
    .run = run,
};
