#pragma once

#include <glib.h>
#include <libxml/tree.h>

/**
 * dlk_domain_disk_read: appends what <disk> @node, the @number-th of its domain, uses to @disks (of
 * DlkDomainDisk): its image, the backing chain, data stores and the mirror.
 */
gboolean dlk_domain_disk_read(const xmlNode *node, guint number, GPtrArray *disks, GError **error);

/** dlk_domain_format: the value of @node's @attribute as a format, or %NULL; FALSE with @error for what
 * is no word. */
gboolean dlk_domain_format(const xmlNode *node, const char *attribute, const char *element, char **format,
                           GError **error);
