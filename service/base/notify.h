#pragma once

#include <glib.h>

/*
 * What the service manager is told: sd_notify(3), which waits as long as nobody reads, and with it whoever
 * called it. Here what is not read soon waits in a queue instead, in order, for the main loop.
 */

/** Is there a service manager that listens? */
gboolean dlk_notify_is_heard(void);
/**
 * dlk_notify: sends @text, with a copy of @fd (-1: none). FALSE: nobody will get it. @key: for
 * dlk_notify_take_back(), or 0. Any thread; takes half a second at most, and that once only as long as nobody
 * reads.
 */
gboolean dlk_notify(const char *text, int fd, guint key);
/** Drops the message of @key that still waits. FALSE: there is none, it was sent. */
gboolean dlk_notify_take_back(guint key);
