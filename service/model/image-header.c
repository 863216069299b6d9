#include "model/image-header.h"

#include "base/error.h"
#include "base/text.h"
#include "model/image-header-parts.h"

#include <errno.h>
#include <string.h>

#define PROBE_BYTES 512

#define QED_HEADER_BYTES 64
#define QED_BACKING_FILE 1
#define QED_BACKING_RAW 4

typedef struct {
    const char *name;
    gboolean (*is)(const guint8 *bytes, gsize length);
    gboolean (*read)(const DlkImageSource *source, DlkImageHeader *header, GError **error);
} Format;

void
dlk_image_header_free(DlkImageHeader *self)
{
    g_free(self->backing);
    g_free(self->backing_format);
    g_ptr_array_unref(self->data_files);
    g_free(self);
}

gboolean
dlk_image_fail(GError **error, const char *format, const char *reason)
{
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the %s header %s", format, reason);
    return FALSE;
}

gssize
dlk_image_read_some(const DlkImageSource *source, guint64 offset, gpointer buffer, gsize length,
                    GError **error)
{
    if (offset > G_MAXINT64 - length)
        return 0; /* no image reaches that far */
    const gssize done = source->read(source->image, offset, buffer, length);
    if (done < 0)
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "reading the image's header");
    return done;
}

gboolean
dlk_image_read_all(const DlkImageSource *source, guint64 offset, gpointer buffer, gsize length,
                   const char *format, GError **error)
{
    const gssize done = dlk_image_read_some(source, offset, buffer, length, error);
    if (done < 0)
        return FALSE;
    return (gsize)done == length || dlk_image_fail(error, format, "is cut short");
}

gboolean
dlk_image_read_name(const DlkImageSource *source, guint64 offset, gsize length, gsize maximum,
                    const char *format, const char *what, char **name, GError **error)
{
    char text[DLK_IMAGE_NAME_BYTES + 1];
    g_autofree char *reason = NULL;
    *name = NULL;
    if (length > MIN(maximum, DLK_IMAGE_NAME_BYTES)) {
        reason =
            g_strdup_printf("names a %s of %" G_GSIZE_FORMAT " bytes, more than QEMU takes", what, length);
        return dlk_image_fail(error, format, reason);
    }
    if (!dlk_image_read_all(source, offset, text, length, format, error))
        return FALSE;
    text[length] = '\0';
    if (strlen(text) != length || !dlk_text_is_clean(text)) {
        reason = g_strdup_printf("names a %s with control characters", what);
        return dlk_image_fail(error, format, reason);
    }
    *name = length > 0 ? g_strdup(text) : NULL;
    return TRUE;
}

static guint32
read_le32(const guint8 *bytes)
{
    return bytes[0] | (guint32)bytes[1] << 8 | (guint32)bytes[2] << 16 | (guint32)bytes[3] << 24;
}

static guint32
read_be32(const guint8 *bytes)
{
    return bytes[3] | (guint32)bytes[2] << 8 | (guint32)bytes[1] << 16 | (guint32)bytes[0] << 24;
}

static gboolean
qcow_is(const guint8 *bytes, gsize length)
{
    return length >= 8 && memcmp(bytes, "QFI\xfb", 4) == 0 && read_be32(bytes + 4) == 1;
}

static gboolean
qcow_read(const DlkImageSource *source, DlkImageHeader *header, GError **error)
{
    guint8 bytes[20];
    if (!dlk_image_read_all(source, 0, bytes, sizeof bytes, "qcow", error))
        return FALSE;
    const guint64 offset = (guint64)read_be32(bytes + 8) << 32 | read_be32(bytes + 12);
    return offset == 0 || dlk_image_read_name(source, offset, read_be32(bytes + 16), DLK_IMAGE_NAME_BYTES,
                                              "qcow", "backing file", &header->backing, error);
}

static gboolean
qed_is(const guint8 *bytes, gsize length)
{
    return length >= 4 && memcmp(bytes, "QED\0", 4) == 0;
}

static gboolean
qed_read(const DlkImageSource *source, DlkImageHeader *header, GError **error)
{
    guint8 bytes[QED_HEADER_BYTES];
    if (!dlk_image_read_all(source, 0, bytes, sizeof bytes, "qed", error))
        return FALSE;
    const guint64 header_bytes = (guint64)read_le32(bytes + 4) * read_le32(bytes + 12);
    const guint32 features = read_le32(bytes + 16);
    const guint64 offset = read_le32(bytes + 56);
    const guint32 length = read_le32(bytes + 60);
    if (!(features & QED_BACKING_FILE))
        return TRUE;
    if (offset + length > header_bytes)
        return dlk_image_fail(error, "qed", "has the name of its backing file outside of itself");
    header->backing_format = features & QED_BACKING_RAW ? g_strdup("raw") : NULL;
    return dlk_image_read_name(source, offset, length, DLK_IMAGE_NAME_BYTES, "qed", "backing file",
                               &header->backing, error);
}

static const Format formats[] = {
    {"qcow2", dlk_image_qcow2_is, dlk_image_qcow2_read},
    {"qcow", qcow_is, qcow_read},
    {"qed", qed_is, qed_read},
    {"vmdk", dlk_image_vmdk_is, dlk_image_vmdk_read},
};

static const Format *
declared_format(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++)
        if (g_str_equal(formats[i].name, name))
            return &formats[i];
    return NULL;
}

static const Format *
probed_format(const guint8 *bytes, gsize length)
{
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++)
        if (formats[i].is(bytes, length))
            return &formats[i];
    return NULL;
}

DlkImageHeader *
dlk_image_header_read(DlkImageRead read, gpointer image, const char *format, GError **error)
{
    guint8 bytes[PROBE_BYTES];
    const DlkImageSource source = {read, image};
    g_autoptr(DlkImageHeader) header = g_new0(DlkImageHeader, 1);
    header->format = "raw";
    header->data_files = g_ptr_array_new_with_free_func(g_free);
    const Format *known = format ? declared_format(format) : NULL;
    if (format && !known)
        return g_steal_pointer(&header);
    const gssize length = dlk_image_read_some(&source, 0, bytes, sizeof bytes, error);
    if (length < 0)
        return NULL;
    if (!known) {
        known = probed_format(bytes, (gsize)length);
    } else if (!known->is(bytes, (gsize)length)) {
        dlk_image_fail(error, format, "is missing: the image is of another format than declared");
        return NULL;
    }
    if (!known)
        return g_steal_pointer(&header);
    header->format = known->name;
    return known->read(&source, header, error) ? g_steal_pointer(&header) : NULL;
}
