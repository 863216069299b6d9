#include "host/watcher.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/epoll.h>

#define BATCH 64

/* One descriptor in the epoll set; several may watch it, because leases of one process share its pidfd. */
typedef struct {
    int fd;
    guint32 events;
    GQueue watches; /* of DlkWatch */
} Entry;

struct _DlkWatch {
    Entry *entry;
    gboolean hangup;
    guint64 order;
    GSourceOnceFunc func;
    gpointer user_data;
    GList link;
};

struct _DlkWatcher {
    int epoll_fd;
    GSource *source;
    GHashTable *entries; /* descriptor → Entry */
    guint64 added;
    struct epoll_event
        batch[BATCH]; /* what is being reported; data.ptr is NULL for an entry that has gone meanwhile */
    int batch_length;
};

static void
entry_free(gpointer data)
{
    Entry *entry = data;
    for (GList *link = g_queue_pop_head_link(&entry->watches); link;
         link = g_queue_pop_head_link(&entry->watches))
        g_free(link->data);
    g_free(entry);
}

static void
remove_entry(DlkWatcher *self, Entry *entry)
{
    epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, entry->fd, NULL);
    for (int i = 0; i < self->batch_length; i++)
        if (self->batch[i].data.ptr == entry)
            self->batch[i].data.ptr = NULL;
    g_hash_table_remove(self->entries, GINT_TO_POINTER(entry->fd));
}

/* Asks the kernel for what @entry's watches need now. */
static gboolean
update_events(DlkWatcher *self, Entry *entry)
{
    struct epoll_event event = {.data.ptr = entry};
    for (GList *link = entry->watches.head; link != NULL; link = link->next)
        event.events |= ((DlkWatch *)link->data)->hangup ? 0 : EPOLLIN;
    if (event.events == entry->events)
        return TRUE;
    entry->events = event.events;
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, entry->fd, &event) == 0;
}

static void
take_out(DlkWatcher *self, DlkWatch *watch)
{
    Entry *entry = watch->entry;
    g_queue_unlink(&entry->watches, &watch->link);
    if (entry->watches.length == 0)
        remove_entry(self, entry);
    else
        update_events(self, entry);
}

/* The first watch of @entry that @events concern, but none that was added while they were being reported. */
static DlkWatch *
next_to_fire(const Entry *entry, guint32 events, guint64 last_order)
{
    for (GList *link = entry->watches.head; link != NULL; link = link->next) {
        DlkWatch *watch = link->data;
        if (watch->order <= last_order && (!watch->hangup || (events & (EPOLLERR | EPOLLHUP)) != 0))
            return watch;
    }
    return NULL;
}

static gboolean
dispatch(int fd, GIOCondition condition, gpointer user_data)
{
    DlkWatcher *self = user_data;
    guint64 last_order = self->added;

    self->batch_length = MAX(epoll_wait(self->epoll_fd, self->batch, BATCH, 0), 0);
    for (int i = 0; i < self->batch_length; i++) {
        while (self->batch[i].data.ptr != NULL) {
            DlkWatch *found = next_to_fire(self->batch[i].data.ptr, self->batch[i].events, last_order);
            if (found == NULL)
                break;
            g_autofree DlkWatch *watch = found;
            take_out(self, watch);
            watch->func(watch->user_data);
        }
    }
    self->batch_length = 0;
    return G_SOURCE_CONTINUE;
}

DlkWatcher *
dlk_watcher_new(GMainContext *context, GError **error)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "processes cannot be watched");
        return NULL;
    }
    DlkWatcher *self = g_new0(DlkWatcher, 1);
    self->epoll_fd = epoll_fd;
    self->entries = g_hash_table_new_full(NULL, NULL, NULL, entry_free);
    self->source = g_unix_fd_source_new(epoll_fd, G_IO_IN);
    g_source_set_static_name(self->source, "disklock watcher");
    g_source_set_callback(self->source, G_SOURCE_FUNC(dispatch), self, NULL);
    g_source_attach(self->source, context);
    return self;
}

void
dlk_watcher_free(DlkWatcher *self)
{
    g_source_destroy(self->source);
    g_source_unref(self->source);
    g_hash_table_unref(self->entries);
    dlk_close_fd(&self->epoll_fd);
    g_free(self);
}

static Entry *
new_entry(DlkWatcher *self, int fd, guint32 events)
{
    Entry *entry = g_new0(Entry, 1);
    struct epoll_event event = {.events = events, .data.ptr = entry};
    entry->fd = fd;
    entry->events = events;
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        g_free(entry);
        return NULL;
    }
    g_hash_table_insert(self->entries, GINT_TO_POINTER(fd), entry);
    return entry;
}

DlkWatch *
dlk_watcher_add(DlkWatcher *self, int fd, gboolean hangup, GSourceOnceFunc func, gpointer user_data)
{
    Entry *entry = g_hash_table_lookup(self->entries, GINT_TO_POINTER(fd));
    if (entry == NULL)
        entry = new_entry(self, fd, hangup ? 0 : EPOLLIN);
    if (entry == NULL)
        return NULL;

    DlkWatch *watch = g_new0(DlkWatch, 1);
    *watch = (DlkWatch){
        .entry = entry, .hangup = hangup, .order = ++self->added, .func = func, .user_data = user_data};
    watch->link.data = watch;
    g_queue_push_tail_link(&entry->watches, &watch->link);
    if (update_events(self, entry))
        return watch;

    int errsv = errno;
    take_out(self, watch);
    g_free(watch);
    errno = errsv;
    return NULL;
}

void
dlk_watcher_cancel(DlkWatcher *self, DlkWatch **watch)
{
    g_autofree DlkWatch *cancelled = g_steal_pointer(watch);
    if (cancelled != NULL)
        take_out(self, cancelled);
}
