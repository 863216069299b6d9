#include "base/error.h"
#include "base/fd.h"
#include "bus-fixture.h"

#include <gio/gunixfdlist.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"

static void
count_gone(DlkCaller *caller, gpointer user_data)
{
    g_assert_true(dlk_caller_is_gone(caller));
    (*(guint *)user_data)++;
}

static DlkCaller *
get(DlkCallers *callers, const char *name, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;
    dlk_callers_get_async(callers, name, keep_result, &result);
    wait_until(result != NULL);
    return dlk_callers_get_finish(callers, result, error);
}

/* A real bus, the service's connection to it and a client's. */
typedef struct {
    GTestDBus *bus;
    GDBusConnection *service;
    GDBusConnection *client;
    DlkCallers *callers;
    guint gone;
} Real;

static void
real_set_up(Real *self, gconstpointer unused)
{
    self->bus = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(self->bus);
    self->service = connect_to_bus(self->bus);
    self->client = connect_to_bus(self->bus);
    self->callers = dlk_callers_new(self->service, count_gone, &self->gone);
}

static void
real_tear_down(Real *self, gconstpointer unused)
{
    g_clear_pointer(&self->callers, dlk_callers_free);
    leave_bus(self->service);
    leave_bus(self->client);
    g_test_dbus_down(self->bus);
    g_object_unref(self->bus);
}

static void
test_caller_is_who_the_bus_says(Real *self, gconstpointer unused)
{
    const char *name = g_dbus_connection_get_unique_name(self->client);
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkCaller) caller = get(self->callers, name, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(caller->name, ==, name);
    g_assert_cmpuint(caller->uid, ==, getuid());
    g_assert_nonnull(caller->process);
    g_assert_cmpint(dlk_pid_ref_pid(caller->process), ==, getpid());
    g_autofree char *command = dlk_pid_ref_command(caller->process);
    g_assert_cmpstr(caller->command, ==, command);
    g_assert_false(dlk_caller_is_gone(caller));
}

static void
test_caller_is_known_once_asked_about(Real *self, gconstpointer unused)
{
    const char *name = g_dbus_connection_get_unique_name(self->client);
    g_assert_null(dlk_callers_peek(self->callers, name));
    g_autoptr(DlkCaller) caller = get(self->callers, name, NULL);
    g_assert_true(dlk_callers_peek(self->callers, name) == caller);
    g_autoptr(DlkCaller) again = get(self->callers, name, NULL);
    g_assert_true(again == caller);
}

static void
test_unknown_name_is_not_authorized(Real *self, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(get(self->callers, ":9.999", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED);
}

static void
test_caller_that_leaves_is_gone_and_forgotten(Real *self, gconstpointer unused)
{
    GDBusConnection *leaver = connect_to_bus(self->bus);
    g_autofree char *name = g_strdup(g_dbus_connection_get_unique_name(leaver));
    g_autoptr(DlkCaller) caller = get(self->callers, name, NULL);
    g_autoptr(DlkCaller) other = get(self->callers, g_dbus_connection_get_unique_name(self->client), NULL);
    leave_bus(leaver);
    wait_until(self->gone == 1);
    g_assert_true(dlk_caller_is_gone(caller));
    g_assert_null(dlk_callers_peek(self->callers, name));
    g_assert_false(dlk_caller_is_gone(other));
}

static void
test_all_callers_are_gone_with_the_bus(Real *self, gconstpointer unused)
{
    g_autoptr(DlkCaller) caller = get(self->callers, g_dbus_connection_get_unique_name(self->client), NULL);
    g_clear_pointer(&self->callers, dlk_callers_free);
    g_assert_true(dlk_caller_is_gone(caller));
}

/* The other end of a socket that plays the bus, and answers as no dbus-daemon of every release would. */
typedef struct {
    GDBusConnection *bus;
    GDBusConnection *service;
    DlkCallers *callers;
    GVariant *credentials; /* the next answers; %NULL: none yet */
    int pidfd;             /* sent along */
    guint questions;
    GDBusMethodInvocation *unanswered;
} Played;

static void
reply(Played *self, GDBusMethodInvocation *invocation)
{
    g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
    if (self->pidfd >= 0)
        g_unix_fd_list_append(fds, self->pidfd, NULL);
    g_dbus_method_invocation_return_value_with_unix_fd_list(invocation,
                                                            g_variant_new_tuple(&self->credentials, 1), fds);
}

static void
on_call(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
        const char *method, GVariant *parameters, GDBusMethodInvocation *invocation, gpointer user_data)
{
    Played *self = user_data;
    if (g_str_equal(method, "Hello")) {
        g_dbus_method_invocation_return_value(invocation, g_variant_new("(s)", ":1.1"));
        return;
    }
    if (g_str_has_suffix(method, "Match")) {
        g_dbus_method_invocation_return_value(invocation, NULL);
        return;
    }
    self->questions++;
    if (self->credentials == NULL)
        self->unanswered = invocation;
    else
        reply(self, invocation);
}

static const char played_interface[] = "<node><interface name='" BUS_NAME "'>"
                                       "<method name='Hello'><arg type='s' direction='out'/></method>"
                                       "<method name='AddMatch'><arg type='s' direction='in'/></method>"
                                       "<method name='RemoveMatch'><arg type='s' direction='in'/></method>"
                                       "<method name='GetConnectionCredentials'>"
                                       "<arg type='s' direction='in'/><arg type='a{sv}' direction='out'/>"
                                       "</method></interface></node>";

static void
connect_over(int fd, const char *guid, GDBusConnectionFlags flags, GAsyncResult **result)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, NULL);
    g_autoptr(GSocketConnection) stream = g_socket_connection_factory_create_connection(socket);
    g_dbus_connection_new(G_IO_STREAM(stream), guid, flags, NULL, NULL, keep_result, result);
}

static void
played_set_up(Played *self, gconstpointer unused)
{
    static const GDBusInterfaceVTable vtable = {.method_call = on_call};
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(played_interface, NULL);
    g_autofree char *guid = g_dbus_generate_guid();
    int pair[2] = {-1, -1};
    g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    g_autoptr(GAsyncResult) bus = NULL;
    g_autoptr(GAsyncResult) service = NULL;
    connect_over(pair[0], guid,
                 G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
                     G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
                 &bus);
    connect_over(pair[1], NULL,
                 G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                     G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                 &service);
    wait_until(bus != NULL);
    self->bus = g_dbus_connection_new_finish(bus, NULL);
    guint id = g_dbus_connection_register_object(self->bus, BUS_PATH, node->interfaces[0], &vtable, self,
                                                 NULL, NULL);
    g_assert_cmpuint(id, !=, 0);
    g_dbus_connection_start_message_processing(self->bus);
    wait_until(service != NULL);
    self->service = g_dbus_connection_new_finish(service, NULL);
    self->callers = dlk_callers_new(self->service, NULL, NULL);
    self->pidfd = -1;
}

static void
played_tear_down(Played *self, gconstpointer unused)
{
    g_clear_pointer(&self->callers, dlk_callers_free);
    g_clear_pointer(&self->credentials, g_variant_unref);
    dlk_close_fd(&self->pidfd);
    leave_bus(self->bus);
    leave_bus(self->service);
}

static void
say_that_name_went(Played *self, const char *name)
{
    g_autoptr(GDBusMessage) signal = g_dbus_message_new_signal(BUS_PATH, BUS_NAME, "NameOwnerChanged");
    g_dbus_message_set_sender(signal, BUS_NAME);
    g_dbus_message_set_body(signal, g_variant_new("(sss)", name, name, ""));
    g_assert_true(
        g_dbus_connection_send_message(self->bus, signal, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL));
}

static void
answer_with(Played *self, const char *credentials)
{
    g_autoptr(GError) error = NULL;
    self->credentials = g_variant_parse(G_VARIANT_TYPE_VARDICT, credentials, NULL, NULL, &error);
    g_assert_no_error(error);
}

static void
test_callers_of_one_name_share_a_question(Played *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) first = NULL;
    g_autoptr(GAsyncResult) second = NULL;
    answer_with(self, "{'UnixUserID': <uint32 12345>}");
    dlk_callers_get_async(self->callers, ":1.5", keep_result, &first);
    dlk_callers_get_async(self->callers, ":1.5", keep_result, &second);
    wait_until(first != NULL && second != NULL);
    g_autoptr(DlkCaller) a = dlk_callers_get_finish(self->callers, first, NULL);
    g_autoptr(DlkCaller) b = dlk_callers_get_finish(self->callers, second, NULL);
    g_assert_nonnull(a);
    g_assert_true(a == b);
    g_assert_cmpuint(self->questions, ==, 1);
}

static void
test_caller_whose_name_goes_while_asked_about_is_nobody(Played *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    dlk_callers_get_async(self->callers, ":1.5", keep_result, &result);
    wait_until(self->unanswered != NULL);
    say_that_name_went(self, ":1.5");
    wait_until(result != NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(dlk_callers_get_finish(self->callers, result, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED);

    /* What the bus says late is not remembered: the answer to another question comes after it. */
    answer_with(self, "{'UnixUserID': <uint32 12345>}");
    reply(self, self->unanswered);
    g_autoptr(DlkCaller) other = get(self->callers, ":1.6", NULL);
    g_assert_nonnull(other);
    g_assert_null(dlk_callers_peek(self->callers, ":1.5"));
}

static void
test_process_is_taken_from_the_pidfd_of_the_bus(Played *self, gconstpointer unused)
{
    self->pidfd = pidfd_open(getppid(), 0);
    g_assert_cmpint(self->pidfd, >=, 0);
    g_autofree char *credentials = g_strdup_printf(
        "{'UnixUserID': <uint32 12345>, 'ProcessID': <uint32 %d>, 'ProcessFD': <handle 0>}", getpid());
    answer_with(self, credentials);
    g_autoptr(DlkCaller) caller = get(self->callers, ":1.5", NULL);
    g_assert_nonnull(caller->process);
    g_assert_cmpint(dlk_pid_ref_pid(caller->process), ==, getppid());
}

static void
test_process_of_another_uid_is_not_the_caller(Played *self, gconstpointer unused)
{
    g_autofree char *credentials =
        g_strdup_printf("{'UnixUserID': <uint32 %u>, 'ProcessID': <uint32 %d>}", getuid() + 1, getpid());
    answer_with(self, credentials);
    g_autoptr(DlkCaller) caller = get(self->callers, ":1.5", NULL);
    g_assert_cmpuint(caller->uid, ==, getuid() + 1);
    g_assert_null(caller->process);
    g_assert_cmpstr(caller->command, ==, "?");
}

static void
test_caller_without_a_process_is_a_caller(Played *self, gconstpointer unused)
{
    answer_with(self, "{'UnixUserID': <uint32 12345>, 'ProcessID': <uint32 0>, 'ProcessFD': <handle 7>}");
    g_autoptr(DlkCaller) caller = get(self->callers, ":1.5", NULL);
    g_assert_cmpuint(caller->uid, ==, 12345);
    g_assert_null(caller->process);
}

static void
test_credentials_without_a_uid_are_nobody_s(Played *self, gconstpointer unused)
{
    answer_with(self, "{'UnixUserID': <'0'>, 'ProcessID': <uint32 1>}");
    g_autoptr(GError) error = NULL;
    g_assert_null(get(self->callers, ":1.5", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED);
    g_assert_null(dlk_callers_peek(self->callers, ":1.5"));
}

static void
test_bus_that_does_not_answer_makes_nobody(Played *self, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(get(self->callers, ":1.5", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED);
    g_clear_object(&self->unanswered);
}

static void
test_open_question_ends_with_the_bus(Played *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    dlk_callers_get_async(self->callers, ":1.5", keep_result, &result);
    wait_until(self->unanswered != NULL);
    g_clear_pointer(&self->callers, dlk_callers_free);
    wait_until(result != NULL);
    g_autoptr(GError) error = NULL;
    g_assert_null(dlk_callers_get_finish(NULL, result, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED);
    g_clear_object(&self->unanswered);
}

#define ADD_REAL(name) g_test_add("/caller/" #name, Real, NULL, real_set_up, test_##name, real_tear_down)
#define ADD_PLAYED(name)                                                                                     \
    g_test_add("/caller/" #name, Played, NULL, played_set_up, test_##name, played_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD_REAL(caller_is_who_the_bus_says);
    ADD_REAL(caller_is_known_once_asked_about);
    ADD_REAL(unknown_name_is_not_authorized);
    ADD_REAL(caller_that_leaves_is_gone_and_forgotten);
    ADD_REAL(all_callers_are_gone_with_the_bus);
    ADD_PLAYED(callers_of_one_name_share_a_question);
    ADD_PLAYED(caller_whose_name_goes_while_asked_about_is_nobody);
    ADD_PLAYED(process_is_taken_from_the_pidfd_of_the_bus);
    ADD_PLAYED(process_of_another_uid_is_not_the_caller);
    ADD_PLAYED(caller_without_a_process_is_a_caller);
    ADD_PLAYED(credentials_without_a_uid_are_nobody_s);
    ADD_PLAYED(bus_that_does_not_answer_makes_nobody);
    ADD_PLAYED(open_question_ends_with_the_bus);
    return g_test_run();
}
