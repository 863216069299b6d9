#pragma once

#include <gio/gio.h>

/**
 * Subject: what is measured: two calls, one after the other, of a service on a bus. Either Acquire and
 * Release of one disk, or the no-op twice, or the no-op service's methods of the same arguments, without or
 * with the kernel's calls of a lock.
 */
typedef struct {
    char *name; /* for the output: "noop", "messages", or @disk as it was given */
    char *path; /* the disk, or %NULL for the no-op */
    const char *service, *object, *interface; /* of Acquire and Release */
    GDBusConnection *connection;
} Subject;

/** @bus: its address. @disk: a path, or "-" for the no-op, or "=" for its Acquire and Release, or
 * "+" and a path for these with the kernel's calls of a lock. Ends the program if the bus is out of reach. */
Subject *subject_new(const char *bus, const char *disk);
void subject_free(Subject *self);

/** Both calls; ends the program if one fails. Returns the time they took, in microseconds. */
double subject_call_twice(Subject *self);

/** The parameters of Acquire for @path, exclusive, floating. */
GVariant *acquire_parameters(const char *path);
/** Ends the program with a message. */
void die(const char *what, const GError *error) G_GNUC_NORETURN;
