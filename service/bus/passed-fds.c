#include "bus/passed-fds.h"

#include "base/thread.h"

#include <gio/gunixfdlist.h>
#include <unistd.h>

struct _DlkPassedFds {
    gint references; /* atomic: the owner's, the filter's, and one of each message that carried any */
    /* Main thread; %NULL once the connection is of no interest. */
    DlkEngine *engine;
    DlkCallers *callers;
    GDBusConnection *connection;
    guint filter;
};

/* What one message carried. */
typedef struct {
    DlkPassedFds *home;
    char *sender;
    int *fds; /* ends with -1 */
    int count;
} Carried;

static GQuark
carried_quark(void)
{
    return g_quark_from_static_string("dlk-carried-descriptors");
}

static void
unref(gpointer data)
{
    DlkPassedFds *self = data;

    if (g_atomic_int_dec_and_test(&self->references))
        g_free(self);
}

static void
carried_free(gpointer data)
{
    Carried *carried = data;

    unref(carried->home);
    g_free(carried->sender);
    g_free(carried->fds);
    g_free(carried);
}

static void *
close_all(void *data)
{
    g_autofree int *fds = data;

    for (const int *fd = fds; *fd >= 0; fd++)
        (void)close(*fd);
    return NULL;
}

static void
close_all_in_worker(gpointer data)
{
    close_all(data);
}

/* One user's wait for one another, and for nobody else's. */
static gboolean
let_go(gpointer data)
{
    Carried *carried = data;
    const DlkPassedFds *home = carried->home;
    const DlkCaller *caller = home->callers ? dlk_callers_peek(home->callers, carried->sender) : NULL;
    g_autofree char *lane = caller ? g_strdup_printf("closing uid:%u", caller->uid) : g_strdup("closing");

    if (home->engine)
        dlk_engine_drop(home->engine, g_steal_pointer(&carried->fds), close_all_in_worker, lane);
    else if (dlk_thread_start(close_all, carried->fds))
        carried->fds = NULL;
    return G_SOURCE_REMOVE;
}

/* In whichever thread has freed the message. */
static void
on_message_freed(gpointer data)
{
    g_main_context_invoke_full(NULL, G_PRIORITY_DEFAULT, let_go, data, carried_free);
}

/* GDBus's thread. What answers our own question to the bus is the bus's. */
static GDBusMessage *
take_out(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
    DlkPassedFds *self = user_data;
    GUnixFDList *list = incoming ? g_dbus_message_get_unix_fd_list(message) : NULL;
    const char *sender = g_dbus_message_get_sender(message);

    if (!list || g_unix_fd_list_get_length(list) == 0 || g_strcmp0(sender, "org.freedesktop.DBus") == 0)
        return message;

    Carried *carried = g_new0(Carried, 1);
    g_atomic_int_inc(&self->references);
    carried->home = self;
    carried->sender = g_strdup(sender ? sender : "");
    carried->fds = g_unix_fd_list_steal_fds(list, &carried->count);
    g_object_set_qdata_full(G_OBJECT(message), carried_quark(), carried, on_message_freed);
    return message;
}

int
dlk_passed_fd(GDBusMessage *message, int index)
{
    const Carried *carried = g_object_get_qdata(G_OBJECT(message), carried_quark());

    return carried && index >= 0 && index < carried->count ? carried->fds[index] : -1;
}

DlkPassedFds *
dlk_passed_fds_new(DlkEngine *engine, GDBusConnection *connection, DlkCallers *callers)
{
    DlkPassedFds *self = g_new0(DlkPassedFds, 1);

    self->references = 2;
    self->engine = g_object_ref(engine);
    self->callers = callers;
    self->connection = g_object_ref(connection);
    self->filter = g_dbus_connection_add_filter(connection, take_out, self, unref);
    return self;
}

void
dlk_passed_fds_free(DlkPassedFds *self)
{
    g_dbus_connection_remove_filter(self->connection, self->filter);
    g_clear_object(&self->connection);
    g_clear_object(&self->engine);
    self->callers = NULL;
    unref(self);
}
