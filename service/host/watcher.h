#pragma once

#include <glib.h>

/**
 * DlkWatcher: any number of descriptors (pidfds, keep pipes) behind one epoll and one GSource; each reports
 * once. Main thread.
 */
typedef struct _DlkWatcher DlkWatcher;
typedef struct _DlkWatch DlkWatch;

DlkWatcher *dlk_watcher_new(GMainContext *context, GError **error);
void dlk_watcher_free(DlkWatcher *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkWatcher, dlk_watcher_free)

/**
 * Calls @func(@user_data) once, from the main context, when @fd is readable (@hangup FALSE: a pidfd whose
 * process ended) or its peer is gone (@hangup TRUE: EPOLLERR/EPOLLHUP alone). The watch is gone when @func
 * runs.
 * @fd is borrowed and stays open until then. %NULL with errno set.
 */
DlkWatch *dlk_watcher_add(DlkWatcher *self, int fd, gboolean hangup, GSourceOnceFunc func,
                          gpointer user_data);
/** Takes back a watch that has not fired, and sets *@watch to %NULL; a %NULL *@watch is ignored. */
void dlk_watcher_cancel(DlkWatcher *self, DlkWatch **watch);
