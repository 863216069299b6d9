#include "host/overlay.h"

#include "base/fd.h"
#include "host/block-identity.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* What of @path is below @folder, with its slash; %NULL: it is not. */
static const char *
below(const char *path, const char *folder)
{
    size_t length = g_str_equal(folder, "/") ? 0 : strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length : NULL;
}

static char *
upper_folder(const DlkMount *mount)
{
    g_auto(GStrv) options = g_strsplit(mount->options, ",", -1);
    for (guint i = 0; options[i] != NULL; i++) {
        const char *folder = options[i] + strlen("upperdir=");
        if (g_str_has_prefix(options[i], "upperdir=") && folder[0] == '/')
            return g_canonicalize_filename(folder, "/");
    }
    return NULL;
}

/* A mount may show but a part of the overlay: mount->root. */
char *
dlk_overlay_merged_path(const DlkMount *mount, const char *path)
{
    g_autofree char *upper = upper_folder(mount);
    const char *inside = upper != NULL ? below(path, upper) : NULL;
    const char *shown = inside != NULL ? below(inside, mount->root) : NULL;
    if (shown == NULL)
        return NULL;
    return g_strconcat(g_str_equal(mount->point, "/") ? "" : mount->point, shown, NULL);
}

char *
dlk_overlay_upper_path(const DlkMount *mount, const char *path)
{
    g_autofree char *upper = upper_folder(mount);
    const char *shown = upper != NULL ? below(path, mount->point) : NULL;
    if (shown == NULL)
        return NULL;
    return g_strconcat(upper, g_str_equal(mount->root, "/") ? "" : mount->root, shown, NULL);
}

/* Another mount may lie over the place: then it is not the overlay's file that is found there. */
static char *
id_on(const DlkMount *mount, const char *path)
{
    struct stat status;
    dlk_autofd fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    g_autofree char *id = fd >= 0 ? dlk_fd_info(fd, "mnt_id") : NULL;
    if (id == NULL || g_ascii_strtoull(id, NULL, 10) != mount->id || fstat(fd, &status) < 0 ||
        !S_ISREG(status.st_mode))
        return NULL;
    return dlk_file_identity(status.st_dev, status.st_ino);
}

gboolean
dlk_overlay_may_show(const DlkMounts *mounts, const char *path)
{
    GPtrArray *overlays = dlk_mounts_overlays(mounts);
    for (guint i = 0; i < overlays->len; i++) {
        g_autofree char *merged = dlk_overlay_merged_path(overlays->pdata[i], path);
        if (merged != NULL)
            return TRUE;
    }
    return FALSE;
}

GPtrArray *
dlk_overlay_merged_ids(const DlkMounts *mounts, const char *path)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *overlays = dlk_mounts_overlays(mounts);
    for (guint i = 0; i < overlays->len; i++) {
        const DlkMount *mount = overlays->pdata[i];
        g_autofree char *merged = dlk_overlay_merged_path(mount, path);
        g_autofree char *id = merged != NULL ? id_on(mount, merged) : NULL;
        if (id != NULL && !g_ptr_array_find_with_equal_func(ids, id, g_str_equal, NULL))
            g_ptr_array_add(ids, g_steal_pointer(&id));
    }
    return ids;
}
