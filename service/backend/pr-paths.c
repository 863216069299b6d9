#include "backend/pr-paths.h"

#include "backend/sysfs-block.h"
#include "base/error.h"
#include "base/text.h"

static char *
label_of(const DlkTarget *target)
{
    return dlk_text_printable(dlk_disk_label(target->disk), 0);
}

static gboolean
refuse(const DlkTarget *target, const char *why, GError **error)
{
    g_autofree char *label = label_of(target);
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED, "%s %s", label, why);
    return FALSE;
}

/* The multipath map that @folder is, or is a path of; or %NULL. */
static char *
map_of(const char *folder)
{
    g_autofree char *uuid = dlk_sysfs_block_read(folder, "dm/uuid");
    return uuid != NULL && g_str_has_prefix(uuid, "mpath-") ? g_strdup(folder)
                                                            : dlk_sysfs_block_multipath(folder);
}

/* Disks of SCSI and namespaces of NVMe: all else has no reservations, or has them of what it is made of. */
static gboolean
is_reservable(const char *folder)
{
    g_autofree char *name = g_path_get_basename(folder);
    return g_str_has_prefix(name, "sd") || g_str_has_prefix(name, "nvme");
}

static gboolean
is_whole_lun(const DlkTarget *target, const char *folder, const char *map, GError **error)
{
    g_autofree char *whole = dlk_sysfs_block_whole(folder);
    g_autofree char *mapped = dlk_sysfs_block_read(folder, "dm/name");
    if (whole != NULL) {
        g_autofree char *node = dlk_sysfs_block_node(&dlk_devices, whole);
        g_autofree char *why = g_strdup_printf(
            "is a partition, and a reservation is always the whole disk's: lock %s, or the partition by "
            "another backend",
            node);
        return refuse(target, why, error);
    }
    if (map == NULL && mapped != NULL)
        return refuse(
            target,
            "is mapped on other disks, and a reservation is always a whole disk's: lock that, or this "
            "one by another backend",
            error);
    return map != NULL || is_reservable(folder) ||
           refuse(target, "is neither a disk of SCSI nor a namespace of NVMe: it has no reservations", error);
}

static GPtrArray *
open_all(GPtrArray *folders, GError **error)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_pr_path_free);
    for (guint i = 0; i < folders->len; i++) {
        DlkPrPath *path = dlk_pr_path_open(folders->pdata[i], error != NULL && *error == NULL ? error : NULL);
        if (path != NULL)
            g_ptr_array_add(paths, path);
    }
    if (paths->len == 0)
        return NULL;
    g_clear_error(error);
    return g_steal_pointer(&paths);
}

GPtrArray *
dlk_pr_paths_open(const DlkTarget *target, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (target->disk->kind != DLK_KIND_BLOCK) {
        refuse(target, "is no block device: it has no reservations", error);
        return NULL;
    }
    g_autofree char *folder = dlk_sysfs_block_folder(&dlk_devices, target->disk->device);
    if (folder == NULL) {
        g_autofree char *label = label_of(target);
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE, "%s is no longer there", label);
        return NULL;
    }
    g_autofree char *map = map_of(folder);
    if (!is_whole_lun(target, folder, map, error))
        return NULL;
    g_autoptr(GPtrArray) folders =
        map != NULL ? dlk_sysfs_block_links(map, "slaves") : g_ptr_array_new_with_free_func(g_free);
    if (map == NULL)
        g_ptr_array_add(folders, g_steal_pointer(&folder));
    GPtrArray *paths = open_all(folders, &local);
    if (paths != NULL)
        return paths;
    g_autofree char *label = label_of(target);
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE, "%s: no path to it answers%s%s", label,
                local != NULL ? ": " : "", local != NULL ? local->message : "");
    return NULL;
}

DlkPrState *
dlk_pr_paths_read(GPtrArray *paths, GError **error)
{
    DlkPrState *state = NULL;
    for (guint i = 0; i < paths->len && state == NULL; i++) {
        g_clear_error(error);
        state = dlk_pr_path_read(paths->pdata[i], error);
    }
    if (state != NULL)
        g_clear_error(error);
    return state;
}

gboolean
dlk_pr_paths_read_types(GPtrArray *paths, guint *types, GError **error)
{
    gboolean answered = FALSE;
    for (guint i = 0; i < paths->len && !answered; i++) {
        g_clear_error(error);
        answered = dlk_pr_path_read_types(paths->pdata[i], types, error);
    }
    return answered;
}

GPtrArray *
dlk_pr_paths_read_registrants(GPtrArray *paths, GError **error)
{
    GPtrArray *registrants = NULL;
    for (guint i = 0; i < paths->len && registrants == NULL; i++) {
        g_clear_error(error);
        registrants = dlk_pr_path_read_registrants(paths->pdata[i], error);
    }
    return registrants;
}

/* Keeps in @error what says most. Takes @later. */
static void
remember(GError **error, GError *later)
{
    if (*error == NULL || g_error_matches(later, DLK_ERROR, DLK_ERROR_BUSY)) {
        g_clear_error(error);
        *error = later;
    } else {
        g_error_free(later);
    }
}

gboolean
dlk_pr_paths_reserve(GPtrArray *paths, guint64 key, DlkPrType type, GError **error)
{
    g_autoptr(GError) failure = NULL;
    for (guint i = 0; i < paths->len; i++) {
        GError *local = NULL;
        if (dlk_pr_path_reserve(paths->pdata[i], key, type, &local))
            return TRUE;
        remember(&failure, local);
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

typedef gboolean (*Preempt)(const DlkPrPath *path, guint64 key, guint64 victim, DlkPrType type,
                            GError **error);

static gboolean
preempt_by(Preempt preempt, GPtrArray *paths, guint64 key, guint64 victim, DlkPrType type, GError **error)
{
    g_autoptr(GError) failure = NULL;
    for (guint i = 0; i < paths->len; i++) {
        GError *local = NULL;
        if (preempt(paths->pdata[i], key, victim, type, &local))
            return TRUE;
        remember(&failure, local);
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean
dlk_pr_paths_preempt(GPtrArray *paths, guint64 key, guint64 victim, DlkPrType type, GError **error)
{
    return preempt_by(dlk_pr_path_preempt, paths, key, victim, type, error);
}

gboolean
dlk_pr_paths_preempt_and_abort(GPtrArray *paths, guint64 key, guint64 victim, DlkPrType type, GError **error)
{
    return preempt_by(dlk_pr_path_preempt_and_abort, paths, key, victim, type, error);
}

void
dlk_pr_paths_release(GPtrArray *paths, guint64 key, DlkPrType type)
{
    for (guint i = 0; i < paths->len; i++)
        (void)dlk_pr_path_release(paths->pdata[i], key, type, NULL);
}
