#include "bus/lost-callers.h"

/* What the bus did not say is asked again after so long. */
#define AGAIN_S 1

struct _DlkLostCallers {
    DlkEngine *engine;
    GDBusConnection *connection;
    DlkCallers *callers;
    GCancellable *closing;
    guint under_way;        /* questions */
    gboolean is_unanswered; /* one of them came to nothing */
    guint again;
};

typedef struct {
    DlkLostCallers *lost; /* not to be touched once @closing is cancelled */
    GCancellable *closing;
    char *name;
} Question;

static void ask_all(DlkLostCallers *self);

static gboolean
on_again(gpointer user_data)
{
    DlkLostCallers *self = user_data;

    self->again = 0;
    ask_all(self);
    return G_SOURCE_REMOVE;
}

static void
question_free(Question *question)
{
    g_object_unref(question->closing);
    g_free(question->name);
    g_free(question);
}

static void
settle(Question *question, gboolean is_answered)
{
    DlkLostCallers *self = question->lost;

    self->is_unanswered |= !is_answered;
    if (--self->under_way == 0 && self->is_unanswered)
        self->again = g_timeout_add_seconds(AGAIN_S, on_again, self);
    question_free(question);
}

static void
on_found(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Question *question = user_data;
    g_autoptr(DlkCaller) caller = dlk_callers_get_finish(NULL, result, NULL);

    if (g_cancellable_is_cancelled(question->closing)) {
        question_free(question);
        return;
    }
    /* One who has left meanwhile is asked after again, and has no name any more then. */
    const gboolean is_there = caller && !dlk_caller_is_gone(caller);
    if (is_there)
        dlk_engine_caller_back(question->lost->engine, caller);
    settle(question, is_there);
}

static void
on_has_owner(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Question *question = user_data;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    gboolean has_owner = FALSE;

    if (g_cancellable_is_cancelled(question->closing)) {
        question_free(question);
        return;
    }
    if (reply)
        g_variant_get(reply, "(b)", &has_owner);
    if (has_owner) {
        dlk_callers_get_async(question->lost->callers, question->name, on_found, question);
        return;
    }
    if (reply)
        dlk_engine_caller_gone(question->lost->engine, question->name);
    settle(question, reply != NULL);
}

static void
ask_all(DlkLostCallers *self)
{
    g_autoptr(GPtrArray) names = dlk_engine_lost_callers(self->engine);

    self->is_unanswered = FALSE;
    self->under_way = names->len;
    for (guint i = 0; i < names->len; i++) {
        Question *question = g_new0(Question, 1);

        *question = (Question){self, g_object_ref(self->closing), g_strdup(g_ptr_array_index(names, i))};
        g_dbus_connection_call(self->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "NameHasOwner", g_variant_new("(s)", question->name),
                               G_VARIANT_TYPE("(b)"), G_DBUS_CALL_FLAGS_NONE, -1, self->closing, on_has_owner,
                               question);
    }
}

DlkLostCallers *
dlk_lost_callers_new(DlkEngine *engine, GDBusConnection *connection, DlkCallers *callers)
{
    DlkLostCallers *self = g_new0(DlkLostCallers, 1);

    self->engine = engine;
    self->connection = connection;
    self->callers = callers;
    self->closing = g_cancellable_new();
    ask_all(self);
    return self;
}

void
dlk_lost_callers_free(DlkLostCallers *self)
{
    g_cancellable_cancel(self->closing);
    g_object_unref(self->closing);
    g_clear_handle_id(&self->again, g_source_remove);
    g_free(self);
}
