#pragma once

#include "backend/backend.h"

/** DlkChainLink: an image that another image's header names. */
typedef struct {
    char *path;            /* absolute, not resolved; or a URI */
    char *format;          /* as the header says; %NULL: QEMU looks for itself what it is */
    gboolean is_data_file; /* part of the image itself: taken in its mode; else a backing file, read-only */
} DlkChainLink;

void dlk_chain_link_free(DlkChainLink *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkChainLink, dlk_chain_link_free)

/**
 * dlk_chain_next: one step of a backing chain: reads the header of the image @target and appends what it
 * names to @next (of DlkChainLink, freed by it).
 * @path: the path by which QEMU opens the image: relative names start in its folder, also where it is a link
 * to elsewhere.
 * @format: what the image is declared to be, %NULL: by its first bytes. One that is declared raw is not read.
 * Network disks and formats without backing files have no next. The image is opened for reading, without side
 * effects; regular files and block devices alone.
 * Errors: DLK_ERROR_INVALID_ARGS (broken header, names that cannot be told for sure),
 * DLK_ERROR_BACKEND_FAILED (EIO, EACCES); no message names the image. Worker thread; may block.
 */
gboolean dlk_chain_next(const DlkTarget *target, const char *path, const char *format, GPtrArray *next,
                        GError **error);
