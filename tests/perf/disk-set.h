#pragma once

#include <gio/gio.h>

/** disk_set_acquire: takes @paths (%NULL-ended) exclusively, by AcquireSet, or, where there is but one, by
 * Acquire; gives them back. Ends the program if a call fails. Returns how long the taking took, in
 * microseconds. */
double disk_set_acquire(GDBusConnection *connection, const char *const *paths);
