#pragma once

#include "model/image-header.h"

/*
 * For image-header.c and the readers of single formats alone.
 */

/** QEMU's own bound on the name of a backing file. */
#define DLK_IMAGE_NAME_BYTES 1023
/** Of QEMU's field for a format. */
#define DLK_IMAGE_FORMAT_BYTES 15
#define DLK_IMAGE_MAX_EXTENTS 1024

typedef struct {
    DlkImageRead read;
    gpointer image;
} DlkImageSource;

/** As many bytes as there are at @offset, at most @length; -1 with @error. */
gssize dlk_image_read_some(const DlkImageSource *source, guint64 offset, gpointer buffer, gsize length,
                           GError **error);
/** Exactly @length bytes; the image's end before that is a broken header. */
gboolean dlk_image_read_all(const DlkImageSource *source, guint64 offset, gpointer buffer, gsize length,
                            const char *format, GError **error);
/** A name of @length bytes at @offset, in *@name; @what: for messages. NUL bytes and control characters are
 * refused. */
gboolean dlk_image_read_name(const DlkImageSource *source, guint64 offset, gsize length, gsize maximum,
                             const char *format, const char *what, char **name, GError **error);
/** Sets DLK_ERROR_INVALID_ARGS "the FORMAT header …". Always FALSE. */
gboolean dlk_image_fail(GError **error, const char *format, const char *reason);

gboolean dlk_image_qcow2_is(const guint8 *bytes, gsize length);
gboolean dlk_image_qcow2_read(const DlkImageSource *source, DlkImageHeader *header, GError **error);
gboolean dlk_image_vmdk_is(const guint8 *bytes, gsize length);
gboolean dlk_image_vmdk_read(const DlkImageSource *source, DlkImageHeader *header, GError **error);
