#pragma once

#include <glib.h>
#include <pthread.h>

/*
 * pthread's threads and conditions instead of GLib's: a thread that cannot be started is no abort, and
 * checkers of threads understand them.
 */

/**
 * dlk_thread_start: runs @func(@data) in a thread that nobody joins and that takes no signals: those of the
 * process belong to the main loop. FALSE where the kernel gives no thread.
 */
gboolean dlk_thread_start(void *(*func)(void *), void *data);
/** dlk_thread_run: likewise, and waits until it has ended. FALSE: it never began. */
gboolean dlk_thread_run(void *(*func)(void *), void *data);

/** dlk_cond_init: a condition that goes by g_get_monotonic_time(). */
void dlk_cond_init(pthread_cond_t *cond);
/** dlk_cond_wait_until: waits for @cond, at most until @until (monotonic µs): FALSE: that has passed. */
gboolean dlk_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, gint64 until);
