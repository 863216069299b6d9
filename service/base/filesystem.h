#pragma once

#include <glib.h>

/** dlk_filesystem_of_fd: the type of the filesystem that @fd's object is on, as the mount table has it
 * ("ext4", "nfs"), or %NULL for one that is not known here. Static. May block as long as the storage does. */
const char *dlk_filesystem_of_fd(int fd);

/**
 * dlk_filesystem_is_local: does everything that happens on a filesystem of this type (%NULL: any) happen in
 * this kernel? Then what the kernel has in its cache is the truth, and locks are in its memory and nowhere
 * else: neither has to be asked of a storage, a server or another host.
 */
gboolean dlk_filesystem_is_local(const char *type);
