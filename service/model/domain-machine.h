#pragma once

#include <glib.h>
#include <libxml/tree.h>

/*
 * What beside its disks a domain keeps on storage. Each appends to @disks (of DlkDomainDisk).
 */

/** <os>: loader, nvram with its template, variable store. */
gboolean dlk_domain_machine_os(const xmlNode *os, GPtrArray *disks, GError **error);
/** <tpm>. @uuid: the domain's, or %NULL: libvirt's default folder is named after it. */
gboolean dlk_domain_machine_tpm(const xmlNode *tpm, const char *uuid, GPtrArray *disks, GError **error);
gboolean dlk_domain_machine_lease(const xmlNode *lease, GPtrArray *disks, GError **error);
/** <hostdev>: SCSI units alone; other devices are no disks. */
gboolean dlk_domain_machine_hostdev(const xmlNode *hostdev, GPtrArray *disks, GError **error);
/** <memory> that is a file (nvdimm, virtio-pmem), <pstore>. */
gboolean dlk_domain_machine_memory(const xmlNode *memory, GPtrArray *disks, GError **error);
/** <qemu:commandline>: refused where it adds drives, which nobody but QEMU can read there. */
gboolean dlk_domain_machine_command_line(const xmlNode *command_line, GError **error);
