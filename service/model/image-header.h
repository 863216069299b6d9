#pragma once

#include <glib.h>

/**
 * DlkImageHeader: which other images an image is made of, as its own header says. A guest may have written
 * every byte of it: what it names is a name and no more, and nothing here is sized by what it says.
 */
typedef struct {
    const char *format;    /* "qcow2" "qcow" "qed" "vmdk", or "raw" for everything else; static */
    char *backing;         /* as it is written: relative, absolute, "json:…", "nbd:…"; or %NULL */
    char *backing_format;  /* or %NULL: QEMU looks for itself what it is */
    GPtrArray *data_files; /* of char *: names of external data files and extents */
} DlkImageHeader;

void dlk_image_header_free(DlkImageHeader *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkImageHeader, dlk_image_header_free)

/**
 * DlkImageRead: reads @length bytes at @offset as pread(2) does; fewer at the end of the image, -1 with errno
 * set. Offsets are whatever a header says, up to G_MAXINT64.
 */
typedef gssize (*DlkImageRead)(gpointer image, guint64 offset, gpointer buffer, gsize length);

/**
 * dlk_image_header_read: reads the header by way of @read(@image).
 * @format: what the image is declared to be; %NULL: by its first bytes, as QEMU does. What is declared to be
 * without backing files ("raw") is not even read. Errors: DLK_ERROR_INVALID_ARGS for a header that is broken
 * or not of that format, DLK_ERROR_BACKEND_FAILED where
 * @read fails.
 */
DlkImageHeader *dlk_image_header_read(DlkImageRead read, gpointer image, const char *format, GError **error);
