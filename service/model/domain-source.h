#pragma once

#include <glib.h>
#include <libxml/tree.h>

/**
 * dlk_domain_source: the canonical name of what @source (or %NULL: nothing) of type @type leads to: a path as
 * it is written, or a URI. In *@name; %NULL where it names nothing. @element: for messages. A volume of
 * a storage pool is named as storage-pool.h says, a folder, which cannot be locked, by its path.
 */
gboolean dlk_domain_source(const xmlNode *source, const char *type, const char *element, char **name,
                           GError **error);

/** Is @path absolute, free of control characters and at most 4,095 bytes long? FALSE with @error that names
 * @element. */
gboolean dlk_domain_path_check(const xmlNode *node, const char *element, const char *path, GError **error);
