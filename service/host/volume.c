#include "host/volume.h"

#include "base/error.h"
#include "model/storage-pool.h"

/* libvirtd's stateDir and configDir (libvirt's storage driver, storage_driver.c). */
const char *const dlk_volume_pool_folders[] = {"/run/libvirt/storage", "/etc/libvirt/storage", NULL};

/* The description of the pool; NULL where no folder has one, or with @error. */
static char *
read_pool(const char *pool, const char *const *folders, gsize *length, GError **error)
{
    for (; *folders; folders++) {
        g_autofree char *file = g_strconcat(*folders, "/", pool, ".xml", NULL);
        g_autoptr(GError) local = NULL;
        char *xml = NULL;

        if (g_file_get_contents(file, &xml, length, &local))
            return xml;
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT) ||
            g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOTDIR))
            continue;
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, local->message);
        return NULL;
    }
    return NULL;
}

char *
dlk_volume_locate(const char *uri, const char *const *folders, GError **error)
{
    g_autofree char *pool = NULL, *volume = NULL, *xml = NULL, *located = NULL;
    g_autoptr(GError) local = NULL;
    gsize length = 0;

    if (!dlk_volume_parse_uri(uri, &pool, &volume, error))
        return NULL;
    xml = read_pool(pool, folders, &length, &local);
    if (!xml && !local)
        g_set_error(&local, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "libvirt has no storage pool of this name on this host (%s)", folders[0]);
    if (!local)
        located = dlk_storage_pool_locate(xml, length, volume, &local);
    if (located)
        return g_steal_pointer(&located);
    g_propagate_prefixed_error(error, g_steal_pointer(&local), "volume %s of storage pool %s: ", volume,
                               pool);
    return NULL;
}
