#pragma once

#include <glib.h>

/**
 * DlkNetworkName: makes the one URI that names a network disk, by protocol, hosts and name alone, so that
 * whoever names one disk differently names it alike here: hosts in lower case and sorted, ports always
 * written, no credentials. rbd://mon1:6789,mon2:6789/pool/image   nbd://host:10809/export
 * nbd+unix:///export?socket=/run/nbd iscsi://host:3260/iqn.2013-07.com.example:target/1
 * https://host:443/path?query   gluster://host:24007/volume/image Errors: DLK_ERROR_INVALID_ARGS, a sentence
 * about "its source".
 */
typedef struct _DlkNetworkName DlkNetworkName;

/** @protocol: as libvirt names it, "rbd"; error for one that is not known. */
DlkNetworkName *dlk_network_name_new(const char *protocol, GError **error);
void dlk_network_name_free(DlkNetworkName *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkNetworkName, dlk_network_name_free)

/** @host: a name or an address; @port: digits, or %NULL for the protocol's own. */
gboolean dlk_network_name_add_host(DlkNetworkName *self, const char *host, const char *port, GError **error);
/** Instead of hosts, or beside those of a cluster. @path: absolute. */
gboolean dlk_network_name_set_socket(DlkNetworkName *self, const char *path, GError **error);
/** The URI. @name: of the disk there, or %NULL; @query: of a web address, or %NULL. Free with g_free(). */
char *dlk_network_name_to_uri(DlkNetworkName *self, const char *name, const char *query, GError **error);
