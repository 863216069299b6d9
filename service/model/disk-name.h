#pragma once

#include <glib.h>

/*
 * Names of disks in texts from outside (domain XML, image headers): absolute paths, and URIs for what no path
 * leads to.
 */

#define DLK_DISK_NAME_BYTES 4095

/** Is @path absolute, free of control characters, and not too long? DLK_ERROR_INVALID_ARGS. */
gboolean dlk_disk_name_check_path(const char *path, GError **error);
/** "//a/./b" → "/a/b"; links and ".." stay as they are. Free with g_free(). */
char *dlk_disk_name_collapse(const char *path);
/** @text with everything escaped that may not stand in the path of a URI. */
char *dlk_disk_name_escape(const char *text);
/** "SCHEME:///path" of @path, collapsed and escaped: for what is found by path, but is neither file nor block
 * device. */
char *dlk_disk_name_path_uri(const char *scheme, const char *path);
/** Does QEMU take @name as "PROTOCOL:…" and not as a path? */
gboolean dlk_disk_name_has_protocol(const char *name);
