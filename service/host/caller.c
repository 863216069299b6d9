#include "host/caller.h"

#include "base/error.h"

#include <gio/gunixfdlist.h>

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define ANSWER_MS 3000

struct _DlkCallers {
    GDBusConnection *connection;
    guint subscription;
    GHashTable *known;     /* unique name → DlkCaller */
    GHashTable *questions; /* unique name → Question: the bus has been asked and has not answered */
    GCancellable *closing;
    DlkCallerGoneFunc gone;
    gpointer user_data;
};

/* One question to the bus, and everybody who waits for its answer. */
typedef struct {
    DlkCallers *callers; /* %NULL: nobody is interested any longer */
    char *name;
    GPtrArray *tasks;
} Question;

DlkCaller *
dlk_caller_ref(DlkCaller *self)
{
    self->references++;
    return self;
}

void
dlk_caller_unref(DlkCaller *self)
{
    if (--self->references > 0)
        return;
    g_clear_pointer(&self->process, dlk_pid_ref_unref);
    g_ref_string_release(self->command);
    g_object_unref(self->gone);
    g_free(self->name);
    g_free(self);
}

gboolean
dlk_caller_is_gone(const DlkCaller *self)
{
    return g_cancellable_is_cancelled(self->gone);
}

static void
question_free(Question *question)
{
    g_ptr_array_unref(question->tasks);
    g_free(question->name);
    g_free(question);
}

/* Whoever waits hears it from the main loop, never before the call that asked has returned. */
static void
answer(Question *question, DlkCaller *caller)
{
    g_autoptr(GPtrArray) tasks = g_steal_pointer(&question->tasks);
    question->tasks = g_ptr_array_new_with_free_func(g_object_unref);
    for (guint i = 0; i < tasks->len; i++) {
        GTask *task = g_ptr_array_index(tasks, i);
        if (caller != NULL)
            g_task_return_pointer(task, dlk_caller_ref(caller), (GDestroyNotify)dlk_caller_unref);
        else
            g_task_return_new_error(task, DLK_ERROR, DLK_ERROR_NOT_AUTHORIZED,
                                    "the bus does not say who %s is: not authorized", question->name);
    }
}

/* The question's reply is still to come and frees it; until then it is nobody's. */
static void
give_up(Question *question)
{
    question->callers = NULL;
    answer(question, NULL);
}

/* The bus knows the socket's peer by its pid alone where it gives no pidfd. The peer may have ended since,
 * and its number may be another's: a process of another uid is not the one that connected. */
static DlkPidRef *
find_process(GVariant *credentials, GUnixFDList *fds, uid_t uid)
{
    gint32 handle = -1;
    if (fds != NULL && g_variant_lookup(credentials, "ProcessFD", "h", &handle)) {
        int pidfd = g_unix_fd_list_get(fds, handle, NULL);
        return pidfd >= 0 ? dlk_pid_ref_new_for_pidfd(pidfd, NULL) : NULL;
    }
    guint32 pid = 0;
    if (!g_variant_lookup(credentials, "ProcessID", "u", &pid) || pid == 0 || pid > G_MAXINT32)
        return NULL;
    g_autoptr(DlkPidRef) process = dlk_pid_ref_new((pid_t)pid, NULL);
    if (process == NULL || dlk_pid_ref_uid(process) != uid)
        return NULL;
    return g_steal_pointer(&process);
}

/* %NULL: the bus does not say whose connection it is, and then it is nobody's. */
static DlkCaller *
caller_new(const char *name, GVariant *credentials, GUnixFDList *fds)
{
    guint32 uid = G_MAXUINT32;
    if (!g_variant_lookup(credentials, "UnixUserID", "u", &uid) || uid == G_MAXUINT32)
        return NULL;
    DlkCaller *self = g_new0(DlkCaller, 1);
    self->references = 1;
    self->name = g_strdup(name);
    self->uid = uid;
    self->process = find_process(credentials, fds, uid);
    g_autofree char *command = self->process != NULL ? dlk_pid_ref_command(self->process) : NULL;
    self->command = g_ref_string_new(command != NULL && *command != '\0' ? command : "?");
    self->gone = g_cancellable_new();
    return self;
}

static void
on_credentials(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Question *question = user_data;
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_with_unix_fd_list_finish(G_DBUS_CONNECTION(source), &fds, result, NULL);
    DlkCallers *self = question->callers;
    if (self == NULL) {
        question_free(question);
        return;
    }
    g_hash_table_remove(self->questions, question->name);
    g_autoptr(GVariant) credentials = reply != NULL ? g_variant_get_child_value(reply, 0) : NULL;
    DlkCaller *caller = credentials != NULL ? caller_new(question->name, credentials, fds) : NULL;
    if (caller != NULL)
        g_hash_table_insert(self->known, caller->name, caller);
    answer(question, caller);
    question_free(question);
}

static Question *
ask(DlkCallers *self, const char *name)
{
    Question *question = g_new0(Question, 1);
    question->callers = self;
    question->name = g_strdup(name);
    question->tasks = g_ptr_array_new_with_free_func(g_object_unref);
    g_hash_table_insert(self->questions, question->name, question);
    g_dbus_connection_call_with_unix_fd_list(self->connection, BUS_NAME, BUS_PATH, BUS_NAME,
                                             "GetConnectionCredentials", g_variant_new("(s)", name),
                                             G_VARIANT_TYPE("(a{sv})"), G_DBUS_CALL_FLAGS_NONE, ANSWER_MS,
                                             NULL, self->closing, on_credentials, question);
    return question;
}

static void
on_name_owner_changed(GDBusConnection *connection, const char *sender, const char *path,
                      const char *interface, const char *signal, GVariant *parameters, gpointer user_data)
{
    DlkCallers *self = user_data;
    if (!g_variant_is_of_type(parameters, G_VARIANT_TYPE("(sss)")))
        return;
    const char *name = NULL;
    const char *new_owner = NULL;
    g_variant_get(parameters, "(&s&s&s)", &name, NULL, &new_owner);
    if (*new_owner != '\0')
        return;

    /* The bus may have answered just before the name went: nobody may be remembered who is gone already. */
    Question *question = NULL;
    if (g_hash_table_steal_extended(self->questions, name, NULL, (gpointer *)&question))
        give_up(question);
    g_autoptr(DlkCaller) caller = NULL;
    if (!g_hash_table_steal_extended(self->known, name, NULL, (gpointer *)&caller))
        return;
    g_cancellable_cancel(caller->gone);
    if (self->gone != NULL)
        self->gone(caller, self->user_data);
}

DlkCallers *
dlk_callers_new(GDBusConnection *connection, DlkCallerGoneFunc gone, gpointer user_data)
{
    DlkCallers *self = g_new0(DlkCallers, 1);
    self->connection = g_object_ref(connection);
    self->known = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)dlk_caller_unref);
    self->questions = g_hash_table_new(g_str_hash, g_str_equal);
    self->closing = g_cancellable_new();
    self->gone = gone;
    self->user_data = user_data;
    self->subscription =
        g_dbus_connection_signal_subscribe(connection, BUS_NAME, BUS_NAME, "NameOwnerChanged", BUS_PATH, NULL,
                                           G_DBUS_SIGNAL_FLAGS_NONE, on_name_owner_changed, self, NULL);
    return self;
}

void
dlk_callers_free(DlkCallers *self)
{
    g_dbus_connection_signal_unsubscribe(self->connection, self->subscription);

    g_autoptr(GPtrArray) callers = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_caller_unref);
    g_autoptr(GPtrArray) questions = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value = NULL;
    g_hash_table_iter_init(&iter, self->known);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(callers, dlk_caller_ref(value));
    g_hash_table_iter_init(&iter, self->questions);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(questions, value);

    /* From here on others run: they find nothing of this object any more. */
    g_autoptr(GCancellable) closing = self->closing;
    g_hash_table_unref(self->known);
    g_hash_table_unref(self->questions);
    g_object_unref(self->connection);
    g_free(self);
    for (guint i = 0; i < questions->len; i++)
        give_up(g_ptr_array_index(questions, i));
    g_cancellable_cancel(closing);
    for (guint i = 0; i < callers->len; i++)
        g_cancellable_cancel(((DlkCaller *)g_ptr_array_index(callers, i))->gone);
}

DlkCaller *
dlk_callers_peek(DlkCallers *self, const char *name)
{
    return g_hash_table_lookup(self->known, name);
}

void
dlk_callers_get_async(DlkCallers *self, const char *name, GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(NULL, NULL, callback, user_data);
    g_task_set_name(task, "who is the caller");
    DlkCaller *caller = dlk_callers_peek(self, name);
    if (caller != NULL) {
        g_task_return_pointer(task, dlk_caller_ref(caller), (GDestroyNotify)dlk_caller_unref);
        g_object_unref(task);
        return;
    }
    Question *question = g_hash_table_lookup(self->questions, name);
    if (question == NULL)
        question = ask(self, name);
    g_ptr_array_add(question->tasks, task);
}

DlkCaller *
dlk_callers_get_finish(DlkCallers *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
