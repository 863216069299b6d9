#include "base/fd.h"
#include "bus-fixture.h"
#include "host/polkit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"

static const char authority_interface[] =
    "<node><interface name='org.freedesktop.PolicyKit1.Authority'>"
    "<method name='CheckAuthorization'><arg type='(sa{sv})' direction='in'/><arg type='s' direction='in'/>"
    "<arg type='a{ss}' direction='in'/><arg type='u' direction='in'/><arg type='s' direction='in'/>"
    "</method>"
    "<method name='CancelCheckAuthorization'><arg type='s' direction='in'/></method>"
    "</interface></node>";

/* An authority that says what the test wants: above all what no real polkitd would say. */
typedef struct {
    GDBusConnection *connection;
    const char *answer;             /* to a question without a prompt; GVariant text, %NULL: none */
    const char *answer_to_prompt;   /* to one that allows a prompt */
    const char *error;              /* instead of any answer: the text of an error */
    GVariant *question;             /* the last one */
    GDBusMethodInvocation *waiting; /* the question that was not answered */
    char *withdrawn;                /* the cancellation id that was called off */
    gint pings;                     /* atomic: counted in GDBus's own thread */
    gboolean is_stopped;            /* does not even answer a ping */
} Authority;

typedef struct {
    GTestDBus *bus;
    GDBusConnection *service;
    DlkPolkit *polkit;
    DlkCaller *caller;
    Authority authority;
    char *folder, *fifo, *service_file; /* where the bus is to start polkit */
} Fixture;

/* Past GDBus, which would hold back a reply of types that the interface does not have. */
static void
reply(Authority *self, GDBusMethodInvocation *invocation, const char *answer)
{
    g_autoptr(GDBusMessage) message =
        g_dbus_message_new_method_reply(g_dbus_method_invocation_get_message(invocation));
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) body = g_variant_parse(NULL, answer, NULL, NULL, &error);
    g_assert_no_error(error);
    g_dbus_message_set_body(message, body);
    g_dbus_connection_send_message(self->connection, message, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static void
on_check(Authority *self, GVariant *parameters, GDBusMethodInvocation *invocation)
{
    g_clear_pointer(&self->question, g_variant_unref);
    self->question = g_variant_ref(parameters);
    guint32 flags = 0;
    g_variant_get_child(parameters, 3, "u", &flags);
    const char *answer = (flags & 1) != 0 ? self->answer_to_prompt : self->answer;
    if (self->error != NULL) {
        g_dbus_method_invocation_return_dbus_error(invocation, POLKIT_NAME ".Error.Failed", self->error);
        return;
    }
    if (answer == NULL) {
        self->waiting = invocation;
        return;
    }
    reply(self, invocation, answer);
    g_object_unref(invocation);
}

static void
on_call(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
        const char *method, GVariant *parameters, GDBusMethodInvocation *invocation, gpointer user_data)
{
    Authority *self = user_data;
    if (g_str_equal(method, "CheckAuthorization")) {
        on_check(self, parameters, invocation);
        return;
    }
    g_clear_pointer(&self->withdrawn, g_free);
    g_variant_get(parameters, "(s)", &self->withdrawn);
    g_dbus_method_invocation_return_value(invocation, NULL);
}

static GDBusMessage *
filter(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
    Authority *self = user_data;
    if (!incoming || g_strcmp0(g_dbus_message_get_member(message), "Ping") != 0)
        return message;
    g_atomic_int_inc(&self->pings);
    if (!self->is_stopped)
        return message;
    g_object_unref(message);
    return NULL;
}

static void
authority_start(Authority *self, GTestDBus *bus)
{
    static const GDBusInterfaceVTable vtable = {.method_call = on_call};
    g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(authority_interface, NULL);
    self->connection = connect_to_bus(bus);
    g_dbus_connection_add_filter(self->connection, filter, self, NULL);
    guint id = g_dbus_connection_register_object(self->connection, POLKIT_PATH, node->interfaces[0], &vtable,
                                                 self, NULL, NULL);
    g_assert_cmpuint(id, !=, 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) owner G_GNUC_UNUSED = g_dbus_connection_call_sync(
        self->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "RequestName", g_variant_new("(su)", POLKIT_NAME, 0), NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
    g_assert_no_error(error);
}

static void
authority_die(Authority *self)
{
    g_clear_object(&self->waiting);
    g_clear_pointer(&self->connection, leave_bus);
}

static DlkCaller *
caller_of_uid(uid_t uid)
{
    DlkCaller *caller = g_new0(DlkCaller, 1);
    caller->references = 1;
    caller->name = g_strdup(":1.4711");
    caller->uid = uid;
    caller->command = g_ref_string_new("virt-manager");
    caller->gone = g_cancellable_new();
    return caller;
}

static void
set_up_alone(Fixture *self, gconstpointer unused)
{
    if (self->bus == NULL)
        self->bus = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_up(self->bus);
    self->service = connect_to_bus(self->bus);
    self->polkit = dlk_polkit_new(self->service, DLK_POLKIT_PROMPT_MS);
    self->caller = caller_of_uid(1000);
}

static void
set_up(Fixture *self, gconstpointer unused)
{
    set_up_alone(self, unused);
    authority_start(&self->authority, self->bus);
}

static void
tear_down(Fixture *self, gconstpointer unused)
{
    authority_die(&self->authority);
    g_clear_pointer(&self->authority.question, g_variant_unref);
    g_free(self->authority.withdrawn);
    g_clear_pointer(&self->polkit, dlk_polkit_free);
    dlk_caller_unref(self->caller);
    leave_bus(self->service);
    g_test_dbus_down(self->bus);
    g_object_unref(self->bus);
}

static void
set_up_hanging_activation(Fixture *self, gconstpointer unused)
{
    g_autoptr(GError) error = NULL;
    self->folder = g_dir_make_tmp("disklock-XXXXXX", &error);
    g_assert_no_error(error);
    self->fifo = g_build_filename(self->folder, "fifo", NULL);
    self->service_file = g_build_filename(self->folder, POLKIT_NAME ".service", NULL);
    g_assert_no_errno(mkfifo(self->fifo, 0600));
    g_autofree char *text =
        g_strdup_printf("[D-BUS Service]\nName=" POLKIT_NAME "\nExec=/bin/cat %s\n", self->fifo);
    g_file_set_contents(self->service_file, text, -1, &error);
    g_assert_no_error(error);

    self->bus = g_test_dbus_new(G_TEST_DBUS_NONE);
    g_test_dbus_add_service_dir(self->bus, self->folder);
    set_up_alone(self, unused);
}

static void
tear_down_hanging_activation(Fixture *self, gconstpointer unused)
{
    tear_down(self, unused);
    /* Its reader comes to its end with this. */
    int writer = open(self->fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    g_assert_cmpint(writer, >=, 0);
    dlk_close_fd(&writer);
    g_assert_no_errno(unlink(self->fifo));
    g_assert_no_errno(unlink(self->service_file));
    g_assert_no_errno(rmdir(self->folder));
    g_free(self->fifo);
    g_free(self->service_file);
    g_free(self->folder);
}

static GVariant *
details_of_a_disk(void)
{
    return g_variant_new_parsed("{'path': '/srv/web01.img', 'mode': 'exclusive'}");
}

static void
start(Fixture *self, gboolean interactive, GAsyncResult **result)
{
    dlk_polkit_check_async(self->polkit, self->caller, "acquire", details_of_a_disk(), interactive,
                           keep_result, result);
}

/* What becomes of the check that start() began; @reason: text that it contains, %NULL: there is none. */
static void
assert_answer(Fixture *self, GAsyncResult **result, DlkAnswer expected, const char *reason)
{
    wait_until(*result != NULL);
    g_autofree char *why = NULL;
    g_assert_cmpint(dlk_polkit_check_finish(self->polkit, *result, &why), ==, expected);
    if (reason == NULL)
        g_assert_null(why);
    else
        g_assert_nonnull(strstr(why, reason));
}

static void
assert_check(Fixture *self, gboolean interactive, DlkAnswer expected, const char *reason)
{
    g_autoptr(GAsyncResult) result = NULL;
    start(self, interactive, &result);
    assert_answer(self, &result, expected, reason);
}

static void
test_root_needs_no_polkit(Fixture *self, gconstpointer unused)
{
    self->caller->uid = 0;
    g_assert_false(dlk_polkit_needs_asking(self->caller));
    assert_check(self, FALSE, DLK_ANSWER_YES, NULL);
}

static void
test_polkit_is_asked_about_others(Fixture *self, gconstpointer unused)
{
    g_assert_true(dlk_polkit_needs_asking(self->caller));
    self->authority.answer = "((true, false, @a{ss} {}),)";
    assert_check(self, FALSE, DLK_ANSWER_YES, NULL);
    g_autofree char *question = g_variant_print(self->authority.question, FALSE);
    g_assert_cmpstr(question, ==,
                    "(('system-bus-name', {'name': <':1.4711'>}), 'org.disklock.disklock1.acquire', "
                    "{'path': '/srv/web01.img', 'mode': 'exclusive'}, 0, '')");
}

static void
test_open_questions_are_counted_for_each_uid(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) first = NULL, second = NULL;
    self->authority.answer = "((true, false, @a{ss} {}),)";
    start(self, FALSE, &first);
    start(self, FALSE, &second);
    g_assert_cmpuint(dlk_polkit_open_questions(self->polkit, 1000), ==, 2);
    g_assert_cmpuint(dlk_polkit_open_questions(self->polkit, 1001), ==, 0);
    assert_answer(self, &first, DLK_ANSWER_YES, NULL);
    assert_answer(self, &second, DLK_ANSWER_YES, NULL);
    g_assert_cmpuint(dlk_polkit_open_questions(self->polkit, 1000), ==, 0);
}

/* The bus waits for the reply as long. */
static void
test_question_is_open_until_polkit_replies(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start(self, FALSE, &result);
    wait_until(self->authority.waiting != NULL);
    g_cancellable_cancel(self->caller->gone);
    assert_answer(self, &result, DLK_ANSWER_NO, "has left the bus");
    g_assert_cmpuint(dlk_polkit_open_questions(self->polkit, 1000), ==, 1);
    reply(&self->authority, self->authority.waiting, "((true, false, @a{ss} {}),)");
    wait_until(dlk_polkit_open_questions(self->polkit, 1000) == 0);
}

static void
test_question_that_polkit_is_slow_with_stays_open(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start(self, FALSE, &result);
    assert_answer(self, &result, DLK_ANSWER_NONE, "polkit does not answer");
    g_assert_cmpuint(dlk_polkit_open_questions(self->polkit, 1000), ==, 1);
    authority_die(&self->authority);
    wait_until(dlk_polkit_open_questions(self->polkit, 1000) == 0);
}

/* Puts a question with @details and returns those that arrived. */
static GVariant *
details_that_arrive(Fixture *self, const char *action, GVariant *details)
{
    g_autoptr(GAsyncResult) result = NULL;
    self->authority.answer = "((true, false, @a{ss} {}),)";
    dlk_polkit_check_async(self->polkit, self->caller, action, details, FALSE, keep_result, &result);
    assert_answer(self, &result, DLK_ANSWER_YES, NULL);
    return g_variant_get_child_value(self->authority.question, 2);
}

static void
test_name_of_a_disk_adds_no_line_to_the_prompt(Fixture *self, gconstpointer unused)
{
    GVariant *details = g_variant_new_parsed("{'path': '/srv/a\n\nAll is well.'}");
    g_autoptr(GVariant) arrived = details_that_arrive(self, "acquire", details);
    const char *path = NULL;
    g_assert_true(g_variant_lookup(arrived, "path", "&s", &path));
    g_assert_cmpstr(path, ==, "/srv/a\\x0a\\x0aAll is well.");
}

static void
test_prompt_about_no_single_disk_names_none(Fixture *self, gconstpointer unused)
{
    g_autoptr(GVariant) all = details_that_arrive(self, "inspect", NULL);
    const char *message = NULL;
    g_assert_true(g_variant_lookup(all, "polkit.message", "&s", &message));
    g_assert_null(strstr(message, "$("));

    GVariant *owner = g_variant_new_parsed("{'owner': 'web01'}");
    g_autoptr(GVariant) owners = details_that_arrive(self, "release-any", owner);
    g_assert_true(g_variant_lookup(owners, "polkit.message", "&s", &message));
    g_assert_nonnull(strstr(message, "$(owner)"));
    g_assert_null(strstr(message, "$(path)"));
}

static void
test_no_is_no(Fixture *self, gconstpointer unused)
{
    self->authority.answer = "((false, false, @a{ss} {}),)";
    self->authority.answer_to_prompt = "((true, false, @a{ss} {}),)";
    assert_check(self, TRUE, DLK_ANSWER_NO, NULL);
}

static void
test_challenge_is_not_put_to_a_person_unasked(Fixture *self, gconstpointer unused)
{
    self->authority.answer = "((false, true, @a{ss} {}),)";
    self->authority.answer_to_prompt = "((true, false, @a{ss} {}),)";
    assert_check(self, FALSE, DLK_ANSWER_CHALLENGE, NULL);
}

static void
test_challenge_is_put_to_a_person_where_allowed(Fixture *self, gconstpointer unused)
{
    self->authority.answer = "((false, true, @a{ss} {}),)";
    self->authority.answer_to_prompt = "((true, false, @a{ss} {}),)";
    assert_check(self, TRUE, DLK_ANSWER_YES_AFTER_PROMPT, NULL);
}

static void
test_dismissed_prompt_is_a_no(Fixture *self, gconstpointer unused)
{
    self->authority.answer = "((false, true, @a{ss} {}),)";
    self->authority.answer_to_prompt = "((false, false, {'polkit.dismissed': 'true'}),)";
    assert_check(self, TRUE, DLK_ANSWER_NO, NULL);
}

static void
test_challenge_that_nobody_can_answer_is_a_no(Fixture *self, gconstpointer unused)
{
    self->authority.answer = "((false, true, @a{ss} {}),)";
    self->authority.answer_to_prompt = "((false, true, @a{ss} {}),)";
    assert_check(self, TRUE, DLK_ANSWER_NO, "no polkit agent");
}

static void
test_absent_polkit_is_no_answer(Fixture *self, gconstpointer unused)
{
    assert_check(self, TRUE, DLK_ANSWER_NONE, "polkit is not running: see systemctl status polkit");
}

/* The bus holds the question back for a polkitd that it has started and that does not come: here, one that
 * waits for a writer to a FIFO. */
static void
test_polkit_that_does_not_come_up_is_no_answer(Fixture *self, gconstpointer unused)
{
    assert_check(self, TRUE, DLK_ANSWER_NONE, "polkit does not answer");
}

static void
test_silent_polkit_is_no_answer(Fixture *self, gconstpointer unused)
{
    assert_check(self, TRUE, DLK_ANSWER_NONE, "polkit does not answer");
}

static void
test_answer_of_wrong_types_is_none(Fixture *self, gconstpointer unused)
{
    const char *garbage[] = {"(true,)", "('yes', true)", "((true, true),)", "((true, false, @a{sv} {}),)"};
    for (gsize i = 0; i < G_N_ELEMENTS(garbage); i++) {
        self->authority.answer = garbage[i];
        assert_check(self, FALSE, DLK_ANSWER_NONE, "polkit cannot answer");
    }
}

static void
test_error_of_polkit_is_no_answer_and_told_in_clean_words(Fixture *self, gconstpointer unused)
{
    self->authority.error = "out of\n\033[31mmemory";
    assert_check(self, FALSE, DLK_ANSWER_NONE, "polkit cannot answer: out of\\x0a\\x1b[31mmemory");
}

static void
test_polkit_that_dies_over_a_question_is_no_answer(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start(self, FALSE, &result);
    wait_until(self->authority.waiting != NULL);
    authority_die(&self->authority);
    assert_answer(self, &result, DLK_ANSWER_NONE, "polkit does not answer");
}

static void
start_prompt(Fixture *self, GAsyncResult **result)
{
    self->authority.answer = "((false, true, @a{ss} {}),)";
    start(self, TRUE, result);
    wait_until(self->authority.waiting != NULL);
}

static void
assert_prompt_is_withdrawn(Fixture *self)
{
    const char *id = NULL;
    g_variant_get_child(self->authority.question, 4, "&s", &id);
    wait_until(self->authority.withdrawn != NULL);
    g_assert_cmpstr(self->authority.withdrawn, ==, id);
}

static void
test_polkit_that_dies_over_a_prompt_is_no_answer(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start_prompt(self, &result);
    authority_die(&self->authority);
    assert_answer(self, &result, DLK_ANSWER_NONE, "polkit does not answer");
}

static void
test_polkit_that_stops_over_a_prompt_is_no_answer(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    self->authority.is_stopped = TRUE;
    start_prompt(self, &result);
    assert_answer(self, &result, DLK_ANSWER_NONE, "polkit does not answer");
    assert_prompt_is_withdrawn(self);
}

static void
test_person_may_take_longer_than_polkit(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start_prompt(self, &result);
    wait_until(g_atomic_int_get(&self->authority.pings) >= 2);
    g_assert_null(result);
    reply(&self->authority, self->authority.waiting, "((true, false, @a{ss} {}),)");
    assert_answer(self, &result, DLK_ANSWER_YES_AFTER_PROMPT, NULL);
}

static void
test_prompt_goes_with_its_caller(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start_prompt(self, &result);
    g_cancellable_cancel(self->caller->gone);
    assert_answer(self, &result, DLK_ANSWER_NO, "has left the bus");
    assert_prompt_is_withdrawn(self);
}

static void
test_prompt_that_nobody_answers_is_withdrawn(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    dlk_polkit_free(self->polkit);
    self->polkit = dlk_polkit_new(self->service, 100);
    start_prompt(self, &result);
    assert_answer(self, &result, DLK_ANSWER_NO, "nobody has answered");
    assert_prompt_is_withdrawn(self);
    g_assert_cmpuint(dlk_polkit_open_questions(self->polkit, 1000), ==, 1);
    reply(&self->authority, self->authority.waiting, "((false, false, {'polkit.dismissed': 'true'}),)");
    wait_until(dlk_polkit_open_questions(self->polkit, 1000) == 0);
}

static void
test_caller_that_is_gone_is_not_asked_about(Fixture *self, gconstpointer unused)
{
    self->authority.answer = "((true, false, @a{ss} {}),)";
    g_cancellable_cancel(self->caller->gone);
    assert_check(self, FALSE, DLK_ANSWER_NO, "has left the bus");
    g_assert_null(self->authority.question);
}

static void
test_open_check_ends_with_the_service(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start_prompt(self, &result);
    g_clear_pointer(&self->polkit, dlk_polkit_free);
    assert_answer(self, &result, DLK_ANSWER_NO, "the service is ending");
    assert_prompt_is_withdrawn(self);
}

static gboolean
is_gone(GWeakRef *object)
{
    g_autoptr(GObject) left = g_weak_ref_get(object);
    return left == NULL;
}

static void
test_reply_may_come_after_the_service_has_ended(Fixture *self, gconstpointer unused)
{
    g_autoptr(GAsyncResult) result = NULL;
    start_prompt(self, &result);
    g_cancellable_cancel(self->caller->gone);
    assert_answer(self, &result, DLK_ANSWER_NO, "has left the bus");
    GWeakRef task;
    g_weak_ref_init(&task, result);
    g_clear_object(&result);
    g_clear_pointer(&self->polkit, dlk_polkit_free);
    reply(&self->authority, self->authority.waiting, "((true, false, @a{ss} {}),)");
    wait_until(is_gone(&task));
    g_weak_ref_clear(&task);
}

#define ADD(name) g_test_add("/polkit/" #name, Fixture, NULL, set_up, test_##name, tear_down)
#define ADD_ALONE(name) g_test_add("/polkit/" #name, Fixture, NULL, set_up_alone, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD_ALONE(root_needs_no_polkit);
    ADD_ALONE(absent_polkit_is_no_answer);
    g_test_add("/polkit/polkit_that_does_not_come_up_is_no_answer", Fixture, NULL, set_up_hanging_activation,
               test_polkit_that_does_not_come_up_is_no_answer, tear_down_hanging_activation);
    ADD(polkit_is_asked_about_others);
    ADD(name_of_a_disk_adds_no_line_to_the_prompt);
    ADD(prompt_about_no_single_disk_names_none);
    ADD(no_is_no);
    ADD(challenge_is_not_put_to_a_person_unasked);
    ADD(challenge_is_put_to_a_person_where_allowed);
    ADD(dismissed_prompt_is_a_no);
    ADD(challenge_that_nobody_can_answer_is_a_no);
    ADD(silent_polkit_is_no_answer);
    ADD(answer_of_wrong_types_is_none);
    ADD(error_of_polkit_is_no_answer_and_told_in_clean_words);
    ADD(polkit_that_dies_over_a_question_is_no_answer);
    ADD(polkit_that_dies_over_a_prompt_is_no_answer);
    ADD(polkit_that_stops_over_a_prompt_is_no_answer);
    ADD(person_may_take_longer_than_polkit);
    ADD(prompt_goes_with_its_caller);
    ADD(caller_that_is_gone_is_not_asked_about);
    ADD(open_check_ends_with_the_service);
    ADD(open_questions_are_counted_for_each_uid);
    ADD(question_is_open_until_polkit_replies);
    ADD(question_that_polkit_is_slow_with_stays_open);
    ADD(prompt_that_nobody_answers_is_withdrawn);
    ADD(reply_may_come_after_the_service_has_ended);
    return g_test_run();
}
