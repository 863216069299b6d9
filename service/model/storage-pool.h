#pragma once

#include <glib.h>

/*
 * libvirt's storage pools. A domain names a volume by pool and name; where it lies follows from the pool's
 * own description (https://libvirt.org/formatstorage.html).
 */

/** The name of a volume: "volume:///POOL/VOLUME", escaped. Free with g_free(). */
char *dlk_volume_uri(const char *pool, const char *volume);
gboolean dlk_volume_is_uri(const char *text);
/** The other way. DLK_ERROR_INVALID_ARGS where a part is missing, or the pool's name is none of a file. */
gboolean dlk_volume_parse_uri(const char *uri, char **pool, char **volume, GError **error);

/**
 * dlk_storage_pool_locate: what @volume of a pool is: a path, or the URI of a network disk. @xml: the pool as
 * libvirt keeps it, <pool> or <poolstate>. Folders, LVM groups, partitions, ZFS, rbd and gluster; for other
 * pools libvirt asks the storage: DLK_ERROR_INVALID_ARGS, with what to do instead. Free with g_free().
 */
char *dlk_storage_pool_locate(const char *xml, gsize length, const char *volume, GError **error);
