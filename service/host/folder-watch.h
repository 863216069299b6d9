#pragma once

#include "backend/backend.h"

#include <glib.h>

/**
 * DlkFolderWatch: hears at once when a file is replaced, deleted or moved away, by inotify on the folder that
 * it stands in: one watch a folder, whatever the number of disks in it.
 */
typedef struct _DlkFolderWatch DlkFolderWatch;

/** @id: what dlk_folder_watch_keep() was given. Something happened to the name: look again. Main context. */
typedef void (*DlkFolderWatchFunc)(const char *disk_id, gpointer user_data);

DlkFolderWatch *dlk_folder_watch_new(GMainContext *context, DlkFolderWatchFunc func, gpointer user_data,
                                     GError **error);
void dlk_folder_watch_free(DlkFolderWatch *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkFolderWatch, dlk_folder_watch_free)

/**
 * A watch is set in a worker (it may block) and kept in the main thread. Before every job that may call
 * _add() the main thread calls _begin(), and _end() takes what that gave when the worker is really done: a
 * watch of the job's that nobody keeps is not taken away meanwhile. _end() may be called from any thread.
 */
typedef struct _DlkFolderWatchJob DlkFolderWatchJob;
DlkFolderWatchJob *dlk_folder_watch_begin(DlkFolderWatch *self);
void dlk_folder_watch_end(DlkFolderWatchJob *job);
/** Worker: watches the folder of @target. Returns the watch, or -1 where it cannot be watched (the periodic
 * check remains). */
int dlk_folder_watch_add(DlkFolderWatchJob *job, const DlkTarget *target);
/** Main: remembers that @target's name on watch @watch means disk @target->disk->id; counted: as many drops
 * as keeps. */
void dlk_folder_watch_keep(DlkFolderWatch *self, int watch, const DlkTarget *target);
void dlk_folder_watch_drop(DlkFolderWatch *self, int watch, const DlkTarget *target);
