#pragma once

#include "backend/backend.h"
#include "backend/sysfs-block.h"
#include "host/mounts.h"

/** DlkRelated: a disk that overlaps another one. */
typedef struct {
    char *id;
    char *path;           /* of its node, or of the file; %NULL where not known */
    const char *relation; /* what it is to the other: "whole disk", "partition", "device below", "device
                             above", "other path", "backing file", "loop device", "overlay's file", "overlay's
                             upper file"; static */
} DlkRelated;

/**
 * dlk_related_find: the disks that overlap @target, held or not: of DlkRelated. For Inspect: what an
 * acquisition needs of it is among the disk's ancestors. Worker thread; may block.
 */
GPtrArray *dlk_related_find(const DlkMounts *mounts, const DlkTarget *target, const DlkDevices *devices);
