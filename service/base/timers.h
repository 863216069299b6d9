#pragma once

#include <glib.h>

/**
 * DlkTimers: any number of deadlines behind one GSource of one main context.
 *
 * GLib's own timeouts cost each turn of the loop a look at every one of them; here 100,000 sleep in a heap.
 * Main thread only.
 */
typedef struct _DlkTimers DlkTimers;
typedef struct _DlkTimer DlkTimer;

DlkTimers *dlk_timers_new(GMainContext *context);
/** Timers still pending are dropped without being called. */
void dlk_timers_free(DlkTimers *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkTimers, dlk_timers_free)

/** Calls @func(@user_data) once, at @due (g_get_monotonic_time()) or later. The timer is gone when @func
 * runs. */
DlkTimer *dlk_timers_add(DlkTimers *self, gint64 due, GSourceOnceFunc func, gpointer user_data);
/** Takes back a timer that has not run, and sets *@timer to %NULL; a %NULL *@timer is ignored. */
void dlk_timers_cancel(DlkTimers *self, DlkTimer **timer);
/** When it runs, monotonic µs. */
gint64 dlk_timer_due(const DlkTimer *timer);
guint dlk_timers_count(const DlkTimers *self);
