#pragma once

#include "host/mounts.h"

#include <glib.h>

/** DlkResolved: where a path leads. */
typedef struct {
    int fd;          /* O_PATH | O_NOFOLLOW of the object; -1 where @elsewhere is set */
    int folder_fd;   /* O_PATH of the folder it stands in; -1 for "/" */
    char *name;      /* its name there */
    char *path;      /* absolute, without links, "." and ".." */
    char *elsewhere; /* the walk left the filesystem that it was to stay on: what is left to resolve,
                        absolute; or %NULL */
} DlkResolved;
void dlk_resolved_free(DlkResolved *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkResolved, dlk_resolved_free)

/** "//a/./b/" → "/a/b"; ".." is left alone, because what it means depends on links. @path is absolute. Free
 * with g_free(). */
char *dlk_resolve_normalize(const char *path);

/**
 * dlk_resolve: walks @path component by component, with O_PATH and O_NOFOLLOW, reading links itself, so that
 * nothing is opened for real, no magic link of /proc is followed and no filesystem other than those of @lane
 * and of the folders above it is touched: a link that leads to another one ends the walk with @elsewhere set,
 * and the caller puts the rest to that filesystem's lane. Errors name @path: DLK_ERROR_NOT_A_DISK (missing,
 * link loop, a component too long, no folder, in /proc), DLK_ERROR_BACKEND_FAILED (EIO, EACCES, ENOMEM …).
 * Worker thread; may block.
 */
DlkResolved *dlk_resolve(const DlkMounts *mounts, const char *path, const char *lane, GError **error);
