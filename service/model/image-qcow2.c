#include "model/image-header-parts.h"

#include <string.h>

/* See QEMU's docs/interop/qcow2.txt; every number is big-endian. */
#define V2_BYTES 72
#define V3_BYTES 104
#define MIN_CLUSTER_BITS 9
#define MAX_CLUSTER_BITS 21
#define MAX_EXTENSIONS 256

#define EXTERNAL_DATA_FILE (1 << 2) /* incompatible feature */

#define EXTENSION_END 0
#define EXTENSION_BACKING_FORMAT 0xe2792aca
#define EXTENSION_DATA_FILE 0x44415441

typedef struct {
    guint64 backing_offset;
    guint32 backing_length;
    guint64 cluster_bytes;
    guint64 length; /* of the header without extensions */
    gboolean has_data_file;
} Fixed;

static guint32
read32(const guint8 *bytes)
{
    return bytes[3] | (guint32)bytes[2] << 8 | (guint32)bytes[1] << 16 | (guint32)bytes[0] << 24;
}

static guint64
read64(const guint8 *bytes)
{
    return (guint64)read32(bytes) << 32 | read32(bytes + 4);
}

gboolean
dlk_image_qcow2_is(const guint8 *bytes, gsize length)
{
    return length >= 8 && memcmp(bytes, "QFI\xfb", 4) == 0 && read32(bytes + 4) >= 2;
}

static gboolean
read_fixed(const DlkImageSource *source, Fixed *fixed, GError **error)
{
    guint8 bytes[V3_BYTES];
    if (!dlk_image_read_all(source, 0, bytes, V2_BYTES, "qcow2", error))
        return FALSE;
    const guint32 version = read32(bytes + 4);
    const guint32 cluster_bits = read32(bytes + 20);
    if (version != 2 && version != 3)
        return dlk_image_fail(error, "qcow2", "has a version other than 2 and 3");
    if (cluster_bits < MIN_CLUSTER_BITS || cluster_bits > MAX_CLUSTER_BITS)
        return dlk_image_fail(error, "qcow2", "has no valid cluster size");
    if (version == 3 && !dlk_image_read_all(source, 0, bytes, V3_BYTES, "qcow2", error))
        return FALSE;
    *fixed = (Fixed){
        .backing_offset = read64(bytes + 8),
        .backing_length = read32(bytes + 16),
        .cluster_bytes = 1ull << cluster_bits,
        .length = version == 3 ? read32(bytes + 100) : V2_BYTES,
        .has_data_file = version == 3 && read64(bytes + 72) & EXTERNAL_DATA_FILE,
    };
    if (version == 3 && (fixed->length < V3_BYTES || fixed->length > fixed->cluster_bytes))
        return dlk_image_fail(error, "qcow2", "has no valid length");
    if (fixed->backing_offset > fixed->cluster_bytes)
        return dlk_image_fail(error, "qcow2", "has the name of its backing file outside of itself");
    return TRUE;
}

static gboolean
read_extension(const DlkImageSource *source, guint32 type, guint64 offset, guint32 length, const Fixed *fixed,
               DlkImageHeader *header, GError **error)
{
    if (type == EXTENSION_BACKING_FORMAT) {
        g_clear_pointer(&header->backing_format, g_free);
        return dlk_image_read_name(source, offset, length, DLK_IMAGE_FORMAT_BYTES, "qcow2", "backing format",
                                   &header->backing_format, error);
    }
    if (type == EXTENSION_DATA_FILE && fixed->has_data_file) {
        char *name = NULL;
        if (!dlk_image_read_name(source, offset, length, DLK_IMAGE_NAME_BYTES, "qcow2", "data file", &name,
                                 error))
            return FALSE;
        g_ptr_array_set_size(header->data_files, 0);
        if (name)
            g_ptr_array_add(header->data_files, name);
    }
    return TRUE;
}

static gboolean
read_extensions(const DlkImageSource *source, const Fixed *fixed, DlkImageHeader *header, GError **error)
{
    const guint64 end = fixed->backing_offset ? fixed->backing_offset : fixed->cluster_bytes;
    guint64 offset = fixed->length;
    for (guint count = 0; offset + 8 <= end; count++) {
        guint8 bytes[8];
        if (count == MAX_EXTENSIONS)
            return dlk_image_fail(error, "qcow2", "has too many extensions");
        if (!dlk_image_read_all(source, offset, bytes, sizeof bytes, "qcow2", error))
            return FALSE;
        const guint32 type = read32(bytes);
        const guint32 length = read32(bytes + 4);
        offset += sizeof bytes;
        if (type == EXTENSION_END)
            return TRUE;
        if (length > end - offset)
            return dlk_image_fail(error, "qcow2", "has an extension that reaches beyond it");
        if (!read_extension(source, type, offset, length, fixed, header, error))
            return FALSE;
        offset += ((guint64)length + 7) & ~7ull;
    }
    return TRUE;
}

gboolean
dlk_image_qcow2_read(const DlkImageSource *source, DlkImageHeader *header, GError **error)
{
    Fixed fixed = {0};
    if (!read_fixed(source, &fixed, error) || !read_extensions(source, &fixed, header, error))
        return FALSE;
    if (fixed.backing_offset == 0)
        return TRUE;
    return dlk_image_read_name(source, fixed.backing_offset, fixed.backing_length,
                               fixed.cluster_bytes - fixed.backing_offset, "qcow2", "backing file",
                               &header->backing, error);
}
