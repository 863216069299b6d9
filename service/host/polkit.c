#include "host/polkit.h"

#include "base/text.h"
#include "config.h"

#include <glib/gi18n.h>

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define ALLOW_USER_INTERACTION 1

#define ANSWER_MS 3000
/* It is polkit that needs mending then, not its rules. */
#define ADVICE ": see systemctl status polkit"
/* Together less than 5 s: so long may a polkitd that stopped in the middle of a prompt go unnoticed. */
#define PING_INTERVAL_MS 2000
#define PING_ANSWER_MS 2500

/* What polkit shows in place of the action's own message, which names a disk, where the question is about no
 * single one. */
static const struct {
    const char *action;
    const char *message;
} messages_without_path[] = {
    {"inspect", N_("Authentication is required to see who uses which disk")},
    {"release-any", N_("Authentication is required to release all locks that other users hold for $(owner)")},
};

struct _DlkPolkit {
    GDBusConnection *connection;
    guint prompt_ms;
    GHashTable *open; /* set of the GTasks whose question polkitd has not replied to, answered or not */
    guint64 prompts;  /* so many cancellation ids were given out */
};

typedef struct {
    DlkPolkit *polkit; /* valid until answered, and while the task is among its open ones */
    DlkCaller *caller;
    gulong gone_handler;
    char *action;
    GVariant *details;
    gboolean interactive;
    char *cancellation_id; /* of the prompt; %NULL before there is one */
    guint deadline;
    guint ping_timer;
    GCancellable *answered; /* cancelled when the task has its answer */
} Check;

typedef struct {
    DlkAnswer answer;
    char *why;
} Outcome;

static void
check_free(Check *check)
{
    dlk_caller_unref(check->caller);
    g_variant_unref(check->details);
    g_object_unref(check->answered);
    g_free(check->action);
    g_free(check->cancellation_id);
    g_free(check);
}

static void
outcome_free(Outcome *outcome)
{
    g_free(outcome->why);
    g_free(outcome);
}

static void
return_outcome(GTask *task, DlkAnswer answer, const char *why)
{
    Outcome *outcome = g_new(Outcome, 1);
    outcome->answer = answer;
    outcome->why = g_strdup(why);
    g_task_return_pointer(task, outcome, (GDestroyNotify)outcome_free);
}

static gboolean
is_answered(const Check *check)
{
    return g_cancellable_is_cancelled(check->answered);
}

/*
 * The one answer to every check that was put to polkit. A question that polkitd has not replied to stays open
 * all the same: the bus keeps a place for the reply, of which it has only so many for the service.
 */
static void
finish(GTask *task, DlkAnswer answer, const char *why)
{
    Check *check = g_task_get_task_data(task);
    if (is_answered(check))
        return;
    g_signal_handler_disconnect(check->caller->gone, check->gone_handler);
    g_clear_handle_id(&check->deadline, g_source_remove);
    g_clear_handle_id(&check->ping_timer, g_source_remove);
    g_cancellable_cancel(check->answered);
    return_outcome(task, answer, why);
}

/* Takes the dialog off the screen; of a polkitd that hangs, as soon as it goes on. */
static void
withdraw_prompt(Check *check)
{
    if (check->cancellation_id == NULL)
        return;
    g_dbus_connection_call(check->polkit->connection, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                           "CancelCheckAuthorization", g_variant_new("(s)", check->cancellation_id), NULL,
                           G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS, NULL, NULL, NULL);
}

static void
on_caller_gone(GCancellable *gone, gpointer user_data)
{
    GTask *task = user_data;
    withdraw_prompt(g_task_get_task_data(task));
    finish(task, DLK_ANSWER_NO, "the caller has left the bus");
}

static void
finish_for_error(GTask *task, const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
        g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
        g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT)) {
        finish(task, DLK_ANSWER_NONE, "polkit does not answer" ADVICE);
        return;
    }
    if (g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
        g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER)) {
        finish(task, DLK_ANSWER_NONE, "polkit is not running" ADVICE);
        return;
    }
    g_autoptr(GError) stripped = g_error_copy(error);
    g_dbus_error_strip_remote_error(stripped);
    g_autofree char *text = dlk_text_printable(stripped->message, 300);
    g_autofree char *why = g_strdup_printf("polkit cannot answer: %s" ADVICE, text);
    finish(task, DLK_ANSWER_NONE, why);
}

static void ping_later(GTask *task);

static void
on_pong(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    Check *check = g_task_get_task_data(task);
    if (is_answered(check))
        return;
    if (reply != NULL) {
        ping_later(task);
        return;
    }
    withdraw_prompt(check);
    finish_for_error(task, error);
}

static void
on_ping_due(gpointer user_data)
{
    GTask *task = user_data;
    Check *check = g_task_get_task_data(task);
    check->ping_timer = 0;
    g_dbus_connection_call(check->polkit->connection, POLKIT_NAME, POLKIT_PATH, "org.freedesktop.DBus.Peer",
                           "Ping", NULL, NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START, PING_ANSWER_MS,
                           check->answered, on_pong, g_object_ref(task));
}

static void
ping_later(GTask *task)
{
    Check *check = g_task_get_task_data(task);
    check->ping_timer = g_timeout_add_once(PING_INTERVAL_MS, on_ping_due, task);
}

static void
on_deadline(gpointer user_data)
{
    GTask *task = user_data;
    Check *check = g_task_get_task_data(task);
    check->deadline = 0;
    withdraw_prompt(check);
    if (check->cancellation_id != NULL)
        finish(task, DLK_ANSWER_NO, "nobody has answered the prompt for a password in time: call again");
    else
        finish(task, DLK_ANSWER_NONE, "polkit does not answer" ADVICE);
}

static void on_reply(GObject *source, GAsyncResult *result, gpointer user_data);

/* The call itself has no time limit: it ends when polkitd replies or leaves the bus, and so does the bus's
 * waiting for that. */
static void
ask(GTask *task, guint flags, const char *cancellation_id, guint deadline_ms)
{
    Check *check = g_task_get_task_data(task);
    GVariantBuilder subject;
    g_variant_builder_init(&subject, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&subject, "{sv}", "name", g_variant_new_string(check->caller->name));
    g_hash_table_add(check->polkit->open, g_object_ref(task));
    check->deadline = g_timeout_add_once(deadline_ms, on_deadline, task);
    g_dbus_connection_call(
        check->polkit->connection, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization",
        g_variant_new("((sa{sv})s@a{ss}us)", "system-bus-name", &subject, check->action, check->details,
                      flags, cancellation_id),
        G_VARIANT_TYPE("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, on_reply, g_object_ref(task));
}

/* A person takes minutes to answer; that polkitd is still there to ask them is looked at meanwhile. */
static void
prompt(GTask *task)
{
    Check *check = g_task_get_task_data(task);
    check->cancellation_id = g_strdup_printf("disklock-%" G_GUINT64_FORMAT, ++check->polkit->prompts);
    ask(task, ALLOW_USER_INTERACTION, check->cancellation_id, check->polkit->prompt_ms);
    ping_later(task);
}

static void
on_reply(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    Check *check = g_task_get_task_data(task);
    if (check->polkit != NULL)
        g_hash_table_remove(check->polkit->open, task);
    if (is_answered(check))
        return;
    g_clear_handle_id(&check->deadline, g_source_remove);
    if (reply == NULL) {
        finish_for_error(task, error);
        return;
    }
    gboolean is_authorized = FALSE;
    gboolean is_challenge = FALSE;
    gboolean has_prompted = check->cancellation_id != NULL;
    g_variant_get(reply, "((bb@a{ss}))", &is_authorized, &is_challenge, NULL);
    if (is_authorized)
        finish(task, has_prompted ? DLK_ANSWER_YES_AFTER_PROMPT : DLK_ANSWER_YES, NULL);
    else if (!is_challenge)
        finish(task, DLK_ANSWER_NO, NULL);
    else if (!check->interactive)
        finish(task, DLK_ANSWER_CHALLENGE, NULL);
    else if (has_prompted)
        finish(task, DLK_ANSWER_NO, "a password is needed, and no polkit agent is there to ask for it");
    else
        prompt(task);
}

/* A person reads them in the prompt: no line feed in a name may add a sentence to it. */
static GVariant *
presentable(const char *action, GVariant *details)
{
    GVariantBuilder builder;
    GVariantIter iter;
    const char *key = NULL;
    const char *value = NULL;
    gboolean has_path = FALSE;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    g_variant_iter_init(&iter, details);
    while (g_variant_iter_next(&iter, "{&s&s}", &key, &value)) {
        g_autofree char *line = dlk_text_printable(value, 0);
        has_path = has_path || g_str_equal(key, "path");
        g_variant_builder_add(&builder, "{ss}", key, line);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(messages_without_path) && !has_path; i++) {
        if (!g_str_equal(action, messages_without_path[i].action))
            continue;
        g_variant_builder_add(&builder, "{ss}", "polkit.message", messages_without_path[i].message);
        g_variant_builder_add(&builder, "{ss}", "polkit.gettext_domain", GETTEXT_PACKAGE);
    }
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

DlkPolkit *
dlk_polkit_new(GDBusConnection *connection, guint prompt_ms)
{
    DlkPolkit *self = g_new0(DlkPolkit, 1);
    self->connection = g_object_ref(connection);
    self->prompt_ms = prompt_ms;
    self->open = g_hash_table_new_full(g_direct_hash, g_direct_equal, g_object_unref, NULL);
    return self;
}

void
dlk_polkit_free(DlkPolkit *self)
{
    GHashTableIter iter;
    gpointer key = NULL;
    for (;;) {
        g_hash_table_iter_init(&iter, self->open);
        if (!g_hash_table_iter_next(&iter, &key, NULL))
            break;
        g_autoptr(GTask) task = g_object_ref(key);
        Check *check = g_task_get_task_data(task);
        withdraw_prompt(check);
        g_hash_table_remove(self->open, task);
        check->polkit = NULL;
        finish(task, DLK_ANSWER_NO, "the service is ending");
    }
    g_hash_table_unref(self->open);
    g_object_unref(self->connection);
    g_free(self);
}

gboolean
dlk_polkit_needs_asking(const DlkCaller *caller)
{
    return caller->uid != 0;
}

guint
dlk_polkit_open_questions(const DlkPolkit *self, uid_t uid)
{
    GHashTableIter iter;
    gpointer task;
    guint count = 0;

    g_hash_table_iter_init(&iter, self->open);
    while (g_hash_table_iter_next(&iter, &task, NULL))
        count += ((const Check *)g_task_get_task_data(task))->caller->uid == uid;
    return count;
}

void
dlk_polkit_check_async(DlkPolkit *self, DlkCaller *caller, const char *action, GVariant *details,
                       gboolean interactive, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(details != NULL ? details : g_variant_new("a{ss}", NULL));
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, user_data);
    g_task_set_name(task, "ask polkit");
    if (dlk_caller_is_gone(caller)) {
        return_outcome(task, DLK_ANSWER_NO, "the caller has left the bus");
        return;
    }
    if (!dlk_polkit_needs_asking(caller)) {
        return_outcome(task, DLK_ANSWER_YES, NULL);
        return;
    }
    Check *check = g_new0(Check, 1);
    check->polkit = self;
    check->caller = dlk_caller_ref(caller);
    check->action = g_strconcat(DLK_ACTION_PREFIX, action, NULL);
    check->details = presentable(action, owned);
    check->interactive = interactive;
    check->answered = g_cancellable_new();
    check->gone_handler = g_signal_connect(caller->gone, "cancelled", G_CALLBACK(on_caller_gone), task);
    g_task_set_task_data(task, check, (GDestroyNotify)check_free);
    ask(task, 0, "", ANSWER_MS);
}

DlkAnswer
dlk_polkit_check_finish(DlkPolkit *self, GAsyncResult *result, char **why)
{
    Outcome *outcome = g_task_propagate_pointer(G_TASK(result), NULL);
    DlkAnswer answer = outcome->answer;
    if (why != NULL)
        *why = g_steal_pointer(&outcome->why);
    outcome_free(outcome);
    return answer;
}
