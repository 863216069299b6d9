#include "host/folder-watch.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <glib-unix.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

/* No IN_ATTRIB: a hard link that goes elsewhere does not show in this folder, and leaves the disk where it
 * is. */
#define EVENTS                                                                                               \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* What concerns every name in the folder. */
#define FOLDER_EVENTS (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)

/* Watches that nobody keeps are taken away so often, */
#define SWEEP_SECONDS 10
/* and only when the last job that set them has ended so long ago: its result may not have been kept yet. */
#define QUIET_US (2 * G_USEC_PER_SEC)

/* The disks that a name stands for, one for each file that had it: a replaced one is still kept. */
typedef struct _Kept {
    DlkDisk *disk;
    guint count;
    struct _Kept *next;
} Kept;

typedef struct {
    int watch;
    gboolean gone;     /* the kernel has dropped it */
    gint64 ended_at;   /* the last job that set it */
    GHashTable *names; /* name → Kept */
} Folder;

typedef struct {
    int watch;
    gint64 at;
} Ended;

struct _DlkFolderWatch {
    gint references; /* atomic; the owner's, and one of each job under way: a stuck one may outlive the owner
                      */
    GMainContext *context;
    DlkFolderWatchFunc func;
    gpointer user_data;
    int fd;
    GSource *source;
    GSource *sweep;
    GHashTable *folders; /* watch → Folder */
    pthread_mutex_t mutex;
    /* Changed under the mutex: */
    gint jobs;             /* under way; atomic */
    gint removals;         /* of watches; atomic */
    GHashTable *under_way; /* watch → how many jobs under way have set it */
    GArray *ended;         /* of Ended: watches whose jobs have ended since the main thread last looked */
};

struct _DlkFolderWatchJob {
    DlkFolderWatch *owner;
    GArray *watches;
};

static void
kept_free(gpointer data)
{
    Kept *next = NULL;
    for (Kept *kept = data; kept != NULL; kept = next) {
        next = kept->next;
        dlk_disk_unref(kept->disk);
        g_free(kept);
    }
}

static void
folder_free(gpointer data)
{
    Folder *folder = data;
    g_hash_table_unref(folder->names);
    g_free(folder);
}

static Folder *
folder_of(DlkFolderWatch *self, int watch)
{
    Folder *folder = g_hash_table_lookup(self->folders, GINT_TO_POINTER(watch));
    if (folder != NULL)
        return folder;
    folder = g_new0(Folder, 1);
    folder->watch = watch;
    folder->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, kept_free);
    g_hash_table_insert(self->folders, GINT_TO_POINTER(watch), folder);
    return folder;
}

static void
collect_name(GHashTable *ids, const Kept *kept)
{
    for (; kept != NULL; kept = kept->next)
        g_hash_table_add(ids, g_strdup(kept->disk->id));
}

static void
collect_folder(GHashTable *ids, const Folder *folder)
{
    GHashTableIter iter;
    gpointer kept = NULL;
    g_hash_table_iter_init(&iter, folder->names);
    while (g_hash_table_iter_next(&iter, NULL, &kept))
        collect_name(ids, kept);
}

static void
collect_all(DlkFolderWatch *self, GHashTable *ids)
{
    GHashTableIter iter;
    gpointer folder = NULL;
    g_hash_table_iter_init(&iter, self->folders);
    while (g_hash_table_iter_next(&iter, NULL, &folder))
        collect_folder(ids, folder);
}

static void
collect_event(DlkFolderWatch *self, const struct inotify_event *event, GHashTable *ids)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        collect_all(self, ids);
        return;
    }
    Folder *folder = g_hash_table_lookup(self->folders, GINT_TO_POINTER(event->wd));
    if (folder == NULL)
        return;
    if ((event->mask & IN_IGNORED) != 0)
        folder->gone = TRUE;
    if ((event->mask & FOLDER_EVENTS) != 0)
        collect_folder(ids, folder);
    else if (event->len > 0)
        collect_name(ids, g_hash_table_lookup(folder->names, event->name));
}

/* One read a turn of the loop: a folder with much traffic does not keep the loop from everybody else. */
static gboolean
dispatch(int fd, GIOCondition condition, gpointer user_data)
{
    DlkFolderWatch *self = user_data;
    _Alignas(struct inotify_event) char buffer[16 * 1024];
    ssize_t length = read(fd, buffer, sizeof buffer);
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (const char *at = buffer; length > 0 && at < buffer + length;) {
        const struct inotify_event *event = (const struct inotify_event *)at;
        collect_event(self, event, ids);
        at += sizeof *event + event->len;
    }
    /* The function may keep and drop, so nothing of ours is being walked when it runs. */
    GHashTableIter iter;
    gpointer id = NULL;
    g_hash_table_iter_init(&iter, ids);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        self->func(id, self->user_data);
    return G_SOURCE_CONTINUE;
}

DlkFolderWatch *
dlk_folder_watch_new(GMainContext *context, DlkFolderWatchFunc func, gpointer user_data, GError **error)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "folders cannot be watched");
        return NULL;
    }
    DlkFolderWatch *self = g_new0(DlkFolderWatch, 1);
    self->references = 1;
    self->context = context != NULL ? g_main_context_ref(context) : NULL;
    self->func = func;
    self->user_data = user_data;
    self->fd = fd;
    self->folders = g_hash_table_new_full(NULL, NULL, NULL, folder_free);
    self->under_way = g_hash_table_new(NULL, NULL);
    self->ended = g_array_new(FALSE, FALSE, sizeof(Ended));
    pthread_mutex_init(&self->mutex, NULL);
    self->source = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_static_name(self->source, "disklock folder watch");
    g_source_set_callback(self->source, G_SOURCE_FUNC(dispatch), self, NULL);
    g_source_attach(self->source, context);
    return self;
}

static void
stop(GSource **source)
{
    if (*source == NULL)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void
folder_watch_unref(DlkFolderWatch *self)
{
    if (!g_atomic_int_dec_and_test(&self->references))
        return;
    g_hash_table_unref(self->folders);
    g_hash_table_unref(self->under_way);
    g_array_unref(self->ended);
    pthread_mutex_destroy(&self->mutex);
    dlk_close_fd(&self->fd);
    g_clear_pointer(&self->context, g_main_context_unref);
    g_free(self);
}

void
dlk_folder_watch_free(DlkFolderWatch *self)
{
    stop(&self->source);
    stop(&self->sweep);
    folder_watch_unref(self);
}

/* Mutex held. */
static void
count(DlkFolderWatch *self, int watch, int change)
{
    const gpointer key = GINT_TO_POINTER(watch);
    const int jobs = GPOINTER_TO_INT(g_hash_table_lookup(self->under_way, key)) + change;

    if (jobs > 0)
        g_hash_table_insert(self->under_way, key, GINT_TO_POINTER(jobs));
    else
        g_hash_table_remove(self->under_way, key);
}

/* Learns of the watches that workers have set: one that no lease came of would stay for ever. Mutex held. */
static void
learn_ended(DlkFolderWatch *self)
{
    for (guint i = 0; i < self->ended->len; i++) {
        const Ended *ended = &g_array_index(self->ended, Ended, i);

        folder_of(self, ended->watch)->ended_at = ended->at;
    }
    g_array_set_size(self->ended, 0);
}

/* Mutex held. A job that is stuck, or the next of many, keeps no other watch than its own. */
static gboolean
remove_if_idle(gpointer key, gpointer value, gpointer user_data)
{
    DlkFolderWatch *self = user_data;
    Folder *folder = value;
    if (g_hash_table_size(folder->names) > 0 || g_hash_table_contains(self->under_way, key) ||
        g_get_monotonic_time() - folder->ended_at < QUIET_US)
        return FALSE;
    if (!folder->gone)
        inotify_rm_watch(self->fd, folder->watch);
    g_atomic_int_inc(&self->removals);
    return TRUE;
}

static gboolean
is_idle(gpointer key, gpointer value, gpointer user_data)
{
    return g_hash_table_size(((Folder *)value)->names) == 0;
}

static gboolean
sweep(gpointer user_data)
{
    DlkFolderWatch *self = user_data;

    pthread_mutex_lock(&self->mutex);
    learn_ended(self);
    g_hash_table_foreach_remove(self->folders, remove_if_idle, self);
    const gboolean done =
        g_atomic_int_get(&self->jobs) == 0 && !g_hash_table_find(self->folders, is_idle, NULL);
    pthread_mutex_unlock(&self->mutex);
    if (!done)
        return G_SOURCE_CONTINUE;
    stop(&self->sweep);
    return G_SOURCE_REMOVE;
}

static void
sweep_later(DlkFolderWatch *self)
{
    if (self->sweep != NULL)
        return;
    self->sweep = g_timeout_source_new_seconds(SWEEP_SECONDS);
    g_source_set_static_name(self->sweep, "disklock folder watch sweep");
    g_source_set_callback(self->sweep, sweep, self, NULL);
    g_source_attach(self->sweep, self->context);
}

DlkFolderWatchJob *
dlk_folder_watch_begin(DlkFolderWatch *self)
{
    DlkFolderWatchJob *job = g_new0(DlkFolderWatchJob, 1);

    g_atomic_int_inc(&self->references);
    g_atomic_int_inc(&self->jobs);
    job->owner = self;
    job->watches = g_array_new(FALSE, FALSE, sizeof(int));
    sweep_later(self);
    return job;
}

void
dlk_folder_watch_end(DlkFolderWatchJob *job)
{
    DlkFolderWatch *self = job->owner;

    pthread_mutex_lock(&self->mutex);
    for (guint i = 0; i < job->watches->len; i++) {
        const Ended ended = {g_array_index(job->watches, int, i), g_get_monotonic_time()};

        count(self, ended.watch, -1);
        g_array_append_val(self->ended, ended);
    }
    g_atomic_int_add(&self->jobs, -1);
    pthread_mutex_unlock(&self->mutex);
    folder_watch_unref(self);
    g_array_unref(job->watches);
    g_free(job);
}

/* FALSE: one was taken away meanwhile, and it may have been this. */
static gboolean
note(DlkFolderWatchJob *job, int watch, int removals)
{
    DlkFolderWatch *self = job->owner;

    pthread_mutex_lock(&self->mutex);
    const gboolean noted = g_atomic_int_get(&self->removals) == removals;
    if (noted) {
        count(self, watch, 1);
        g_array_append_val(job->watches, watch);
    }
    pthread_mutex_unlock(&self->mutex);
    return noted;
}

int
dlk_folder_watch_add(DlkFolderWatchJob *job, const DlkTarget *target)
{
    char path[64];
    int watch, removals;
    if (target->disk->kind != DLK_KIND_FILE || target->folder_fd < 0 || target->name == NULL)
        return -1;
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", target->folder_fd);
    do {
        removals = g_atomic_int_get(&job->owner->removals);
        watch = inotify_add_watch(job->owner->fd, path, EVENTS);
    } while (watch >= 0 && !note(job, watch, removals));
    return watch;
}

void
dlk_folder_watch_keep(DlkFolderWatch *self, int watch, const DlkTarget *target)
{
    if (watch < 0)
        return;
    Folder *folder = folder_of(self, watch);
    Kept *first = g_hash_table_lookup(folder->names, target->name);
    for (Kept *kept = first; kept != NULL; kept = kept->next) {
        if (g_str_equal(kept->disk->id, target->disk->id)) {
            kept->count++;
            return;
        }
    }
    Kept *kept = g_new0(Kept, 1);
    kept->disk = dlk_disk_ref(target->disk);
    kept->count = 1;
    if (first == NULL) {
        g_hash_table_insert(folder->names, g_strdup(target->name), kept);
        return;
    }
    kept->next = first->next;
    first->next = kept;
}

/* Takes @kept out of its list, or the name out of the folder with the last of the list. */
static void
forget(Folder *folder, const char *name, Kept *first, Kept *kept)
{
    gpointer key = NULL;
    Kept *next = first;
    if (kept != first) {
        while (next->next != kept)
            next = next->next;
        next->next = g_steal_pointer(&kept->next);
        kept_free(kept);
        return;
    }
    next = g_steal_pointer(&first->next);
    g_hash_table_steal_extended(folder->names, name, &key, NULL);
    kept_free(first);
    if (next != NULL)
        g_hash_table_insert(folder->names, key, next);
    else
        g_free(key);
}

void
dlk_folder_watch_drop(DlkFolderWatch *self, int watch, const DlkTarget *target)
{
    Folder *folder = watch >= 0 ? g_hash_table_lookup(self->folders, GINT_TO_POINTER(watch)) : NULL;
    Kept *first = folder != NULL ? g_hash_table_lookup(folder->names, target->name) : NULL;
    Kept *kept = first;
    while (kept != NULL && !g_str_equal(kept->disk->id, target->disk->id))
        kept = kept->next;
    if (kept == NULL || --kept->count > 0)
        return;
    forget(folder, target->name, first, kept);
    sweep_later(self);
}
