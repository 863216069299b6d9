#pragma once

#include "model/mode.h"

#include <glib.h>

/** DlkDomainDisk: one disk that a libvirt domain uses. */
typedef struct {
    char *path; /* absolute path, or a URI that names what has none: "rbd://host:6789/pool/image" */
    DlkMode mode;
    char *format;             /* as libvirt names it: "raw", "qcow2"; %NULL: not known */
    gboolean probe_chain;     /* the XML is silent about backing files: the image's header names them */
    gboolean probe_data_file; /* likewise about external data files and extents */
    gboolean is_data_file;    /* it holds data of an image: a <dataStore> */
    gboolean optional;        /* may be missing: startupPolicy, or libvirt makes it when the domain starts */
    guint chain;              /* the <disk> that it belongs to, from 1; 0: to none */
    guint line;               /* in the XML */
    char *element;            /* for messages: "disk vda", "backing file 2 of disk vda", "nvram" */
} DlkDomainDisk;

void dlk_domain_disk_free(DlkDomainDisk *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkDomainDisk, dlk_domain_disk_free)

#define DLK_DOMAIN_MAX_BYTES (4 * 1024 * 1024)
#define DLK_DOMAIN_MAX_DEPTH 64
#define DLK_DOMAIN_MAX_DISKS 1024

/**
 * dlk_domain_parse: every disk of the domain that @xml (@length bytes, UTF-8) describes, in its order; of
 * DlkDomainDisk, transfer full. Which element is taken how is one table, in domain-map.c and in
 * docs/domains.md.
 *
 * One path may be there more than once, where disks share a base image, or where one disk comes by several
 * elements; which of them are one disk is known only when their identities are. The strongest mode counts
 * then. A header is to be followed (probe_chain, probe_data_file) for local images alone, and never for a raw
 * one. Errors: DLK_ERROR_INVALID_ARGS, "line N: ELEMENT: REASON".
 */
GPtrArray *dlk_domain_parse(const char *xml, gsize length, GError **error);
