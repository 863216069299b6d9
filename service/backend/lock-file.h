#pragma once

#include <glib.h>
#include <sys/stat.h>

/** The name of the lock file of a disk: a hash of its identity. Free with g_free(). */
char *dlk_lock_file_name(const char *identity);
/**
 * dlk_lock_file_open: opens the lock file @name in @folder for reading and writing, and makes it where there
 * is none, with @identity in its first line for people to read. What is found there must be a regular file of
 * root's that nobody else may open and that has no other name; else DLK_ERROR_BACKEND_FAILED. -1: failed.
 */
int dlk_lock_file_open(int folder, const char *name, const char *identity, GError **error);
/** As it is, opened by @flags (O_RDONLY, O_RDWR). -1 with errno set; ENOENT: there is none. */
int dlk_lock_file_open_existing(int folder, const char *name, int flags);
/** Does @name in @folder lead to the file that was @opened? FALSE with errno 0: to none, or to another. */
gboolean dlk_lock_file_is(int folder, const char *name, const struct stat *opened);
