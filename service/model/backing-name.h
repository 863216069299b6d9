#pragma once

#include <glib.h>

/**
 * dlk_backing_name_resolve: what @name, as an image's header says it, means to QEMU.
 * @image: the absolute path by which QEMU opened the image: relative names start in its folder, not where
 * links lead.
 * @path (out): an absolute path, or a URI as DlkNetworkName makes them. @format (out): what the name itself
 * says the format is, or %NULL. DLK_ERROR_INVALID_ARGS for what cannot be told for sure; the backing chain in
 * the domain's XML helps then.
 */
gboolean dlk_backing_name_resolve(const char *name, const char *image, char **path, char **format,
                                  GError **error);
