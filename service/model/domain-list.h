#pragma once

#include "model/domain-map.h"
#include "model/domain.h"

#include <libxml/tree.h>

/** DlkDomainFind: something in the XML that the table has to be asked about. */
typedef struct {
    const xmlNode *node;
    const char *element;
    DlkDomainPart part;
    const char *type; /* "" where it has none */
    guint traits;
    const char *name; /* or %NULL */
    const char *format;
    gboolean probe_chain, probe_data_file, is_data_file, optional;
    guint chain; /* as DlkDomainDisk */
} DlkDomainFind;

/**
 * dlk_domain_list_add: asks the table and appends @find to @disks, unless it is to be skipped: then *@skipped
 * (optional) is set. FALSE with DLK_ERROR_INVALID_ARGS for what the table refuses, and for more than
 * DLK_DOMAIN_MAX_DISKS.
 */
gboolean dlk_domain_list_add(GPtrArray *disks, const DlkDomainFind *find, gboolean *skipped, GError **error);
