#pragma once

#include "model/disk.h"

/** dlk_network_is_uri: does @text name a disk on the network, by one of the protocols that domains use
 * ("rbd://…")? */
gboolean dlk_network_is_uri(const char *text);

/**
 * dlk_identify_network: the disk that @uri names: PROTOCOL://HOST[:PORT][,HOST[:PORT]…]/NAME. Nothing is
 * asked of anybody.
 *
 * Protocols: rbd, iscsi, nbd, gluster, http, https, ftp, ftps, tftp, ssh, nfs, sheepdog, vxhs; with "+unix"
 * behind and socket=PATH in the query, those that go through a socket of this host. Two spellings of one disk
 * are one: letter case of protocol and host, a port that is the default, the order of several hosts, the
 * transport (+tcp, +rdma), TLS for nbd, escapes that need not be, empty and "." parts of the name, a user's
 * name, and a query, which says how to reach the disk and not which (but for http, https and socket=). A host
 * by its name and by its address are two: no server is asked. Without a host: what a domain has of this host,
 * and no path leads to a file or block device of it: swtpm (the folder of a TPM's state), lease (of libvirt's
 * lock manager), nvme (by PCI address), scsi (by adapter), vhost-scsi, vhostuser, vhostvdpa, dax.
 *
 * DLK_ERROR_INVALID_ARGS says what is wrong; a password is refused, because names are shown to others.
 */
DlkDisk *dlk_identify_network(const char *uri, GError **error);
