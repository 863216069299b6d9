#pragma once

#include "model/mode.h"

#include <glib.h>

/** DlkDomainPart: what in a domain may be a disk. One bit each. */
typedef enum {
    DLK_PART_DISK = 1 << 0,    /* <disk>, and the data store of its image */
    DLK_PART_BACKING = 1 << 1, /* <backingStore>, and the data store of that image */
    DLK_PART_MIRROR = 1 << 2,  /* <mirror>: what a running block job writes to */
    DLK_PART_LOADER = 1 << 3,
    DLK_PART_NVRAM = 1 << 4,
    DLK_PART_TEMPLATE = 1 << 5, /* what libvirt makes the nvram from */
    DLK_PART_TPM = 1 << 6,
    DLK_PART_LEASE = 1 << 7,
    DLK_PART_HOSTDEV = 1 << 8, /* a SCSI unit that the guest gets as it is */
    DLK_PART_MEMORY = 1 << 9,  /* persistent memory, and the store for crash records */
} DlkDomainPart;

typedef enum {
    DLK_TRAIT_EMPTY = 1 << 0,     /* names no source */
    DLK_TRAIT_REMOVABLE = 1 << 1, /* device='cdrom', 'floppy' */
    DLK_TRAIT_CDROM = 1 << 2,
    DLK_TRAIT_READONLY = 1 << 3,       /* <readonly/> */
    DLK_TRAIT_SHAREABLE = 1 << 4,      /* <shareable/> */
    DLK_TRAIT_SHARED_BACKING = 1 << 5, /* <transient shareBacking='yes'/> */
    DLK_TRAIT_WRITABLE = 1 << 6,       /* readonly='no' */
    DLK_TRAIT_COMMIT = 1 << 7,         /* a running block commit writes to it */
} DlkDomainTrait;

typedef enum {
    DLK_MAP_TAKE,
    DLK_MAP_SKIP,
    DLK_MAP_REFUSE,
} DlkMapAnswer;

/**
 * dlk_domain_map: what is done with a @part of a domain.
 * @type: its source's, "file" or "network"; "" where it has none. @traits: DlkDomainTrait.
 * @mode (out): for DLK_MAP_TAKE. @reason (out): for DLK_MAP_REFUSE, static.
 */
DlkMapAnswer dlk_domain_map(DlkDomainPart part, const char *type, guint traits, DlkMode *mode,
                            const char **reason);
