#include "host/resolve-cached.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
open_cached(int folder_fd, const char *path, guint64 flags, guint64 resolve)
{
    struct open_how how = {.flags = flags | O_PATH | O_CLOEXEC,
                           .resolve = resolve | RESOLVE_CACHED | RESOLVE_NO_SYMLINKS};

    return (int)syscall(SYS_openat2, folder_fd, path, &how, sizeof how);
}

/* Without links, and without "..", the path that was asked for is the one that the walk would find. */
static gboolean
is_plain(const char *path)
{
    g_autofree char *normal = path[0] == '/' ? dlk_resolve_normalize(path) : NULL;

    return normal && g_str_equal(normal, path) && !strstr(path, "/../") && !g_str_has_suffix(path, "/..") &&
           strlen(path) > 1 && strlen(path) < PATH_MAX;
}

DlkResolved *
dlk_resolve_cached(const char *path, DlkResolved **left)
{
    *left = NULL;
    if (!is_plain(path))
        return NULL;

    const char *name = strrchr(path, '/') + 1;
    g_autofree char *folder = g_strndup(path, MAX((gsize)(name - path - 1), 1));
    const int folder_fd = open_cached(AT_FDCWD, folder, O_DIRECTORY, 0);
    if (folder_fd < 0)
        return NULL;

    DlkResolved *place = g_new0(DlkResolved, 1);
    place->folder_fd = folder_fd;
    place->name = g_strdup(name);
    place->path = g_strdup(path);
    /* Of its folder's own mount: then the folder's filesystem is known with the file's. */
    place->fd = open_cached(folder_fd, name, 0, RESOLVE_NO_XDEV);
    if (place->fd < 0)
        *left = g_steal_pointer(&place);
    return place;
}
