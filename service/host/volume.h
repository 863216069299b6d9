#pragma once

#include <glib.h>

/** Where libvirt keeps its pools: those that are active, then those that are defined; %NULL-terminated. */
extern const char *const dlk_volume_pool_folders[];

/**
 * dlk_volume_locate: where the volume of libvirt's that @uri names lies (model/storage-pool.h): a path, or
 * the URI of a network disk. @folders: dlk_volume_pool_folders. DLK_ERROR_INVALID_ARGS,
 * DLK_ERROR_BACKEND_FAILED. Reads files: in a worker. Free with g_free().
 */
char *dlk_volume_locate(const char *uri, const char *const *folders, GError **error);
