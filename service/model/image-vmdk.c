#include "model/image-header-parts.h"

#include "base/text.h"

#include <string.h>

/* A descriptor is text; sparse images have theirs embedded. As far as QEMU reads, we do. */
#define DESCRIPTOR_BYTES ((1 << 20) - 1)
#define PARENT_BYTES (20 * 512)
#define SPARSE_DESCRIPTOR_OFFSET 0x200
#define SPARSE_BYTES 64
#define EXTENT_NAME_BYTES 511

static guint64
read_le64(const guint8 *bytes)
{
    guint64 number = 0;
    for (guint i = 0; i < 8; i++)
        number |= (guint64)bytes[i] << (8 * i);
    return number;
}

static gboolean
is_sparse(const guint8 *bytes, gsize length)
{
    return length >= 4 && memcmp(bytes, "KDMV", 4) == 0;
}

static gboolean
is_esx_sparse(const guint8 *bytes, gsize length)
{
    return length >= 4 && memcmp(bytes, "COWD", 4) == 0;
}

static gboolean
is_blank(const char *text, gsize length)
{
    for (gsize i = 0; i < length; i++)
        if (text[i] != ' ')
            return FALSE;
    return TRUE;
}

/* Comments and blank lines, then "version=1", 2 or 3. */
static gboolean
is_descriptor(const guint8 *bytes, gsize length)
{
    const char *text = (const char *)bytes;
    const char *const end = text + length;
    while (text < end) {
        const char *newline = memchr(text, '\n', (gsize)(end - text));
        gsize line = (gsize)((newline ? newline : end) - text);
        if (line > 0 && text[line - 1] == '\r')
            line--;
        if (*text != '#' && !is_blank(text, line)) {
            return newline && line == strlen("version=1") && strncmp(text, "version=", 8) == 0 &&
                   text[8] >= '1' && text[8] <= '3';
        }
        if (!newline)
            return FALSE;
        text = newline + 1;
    }
    return FALSE;
}

gboolean
dlk_image_vmdk_is(const guint8 *bytes, gsize length)
{
    return is_sparse(bytes, length) || is_esx_sparse(bytes, length) || is_descriptor(bytes, length);
}

/* The text at @offset, @maximum bytes at most, ended by NUL like any string. */
static char *
read_descriptor(const DlkImageSource *source, guint64 offset, gsize maximum, GError **error)
{
    g_autofree char *text = g_malloc(maximum + 1);
    const gssize length = dlk_image_read_some(source, offset, text, maximum, error);
    if (length < 0)
        return NULL;
    text[length] = '\0';
    return g_steal_pointer(&text);
}

/* In *@name what stands between @start and the next quote. */
static gboolean
quoted_name(const char *start, gsize maximum, const char *what, char **name, GError **error)
{
    const gsize length = strcspn(start, "\"\r\n");
    g_autofree char *text = g_strndup(start, MIN(length, maximum));
    if (start[length] != '"' || length > maximum || !dlk_text_is_clean(text)) {
        g_autofree char *reason = g_strdup_printf("names no valid %s", what);
        return dlk_image_fail(error, "vmdk", reason);
    }
    *name = length > 0 ? g_steal_pointer(&text) : NULL;
    return TRUE;
}

static gboolean
read_parent(const char *descriptor, DlkImageHeader *header, GError **error)
{
    static const char key[] = "parentFileNameHint=\"";
    const char *found = g_strstr_len(descriptor, PARENT_BYTES, key);
    return !found ||
           quoted_name(found + strlen(key), DLK_IMAGE_NAME_BYTES, "parent", &header->backing, error);
}

/* RW 4192256 SPARSE "disk-s001.vmdk"; what is not RW is ignored, as QEMU does; a ZERO extent has no file. */
static gboolean
read_extent(const char *line, DlkImageHeader *header, GError **error)
{
    char *name = NULL;
    line += strspn(line, " \t");
    if (!g_str_has_prefix(line, "RW ") && !g_str_has_prefix(line, "RW\t"))
        return TRUE;
    const gsize length = strcspn(line, "\r\n");
    const char *quote = memchr(line, '"', length);
    if (!quote)
        return TRUE;
    if (header->data_files->len == DLK_IMAGE_MAX_EXTENTS)
        return dlk_image_fail(error, "vmdk", "has too many extents");
    if (!quoted_name(quote + 1, EXTENT_NAME_BYTES, "extent", &name, error))
        return FALSE;
    if (name)
        g_ptr_array_add(header->data_files, name);
    return TRUE;
}

static gboolean
read_extents(const char *descriptor, DlkImageHeader *header, GError **error)
{
    for (const char *line = descriptor; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n");
        if (!read_extent(line, header, error))
            return FALSE;
    }
    return TRUE;
}

/* In *@offset where the descriptor stands. @has_extents: it tells of other files. */
static gboolean
find_descriptor(const DlkImageSource *source, guint64 *offset, gboolean *has_extents, GError **error)
{
    guint8 bytes[SPARSE_BYTES] = {0};
    const gssize length = dlk_image_read_some(source, 0, bytes, sizeof bytes, error);
    *offset = 0;
    *has_extents = FALSE;
    if (length < 0)
        return FALSE;
    if (is_esx_sparse(bytes, (gsize)length)) {
        *offset = SPARSE_DESCRIPTOR_OFFSET;
        return TRUE;
    }
    if (!is_sparse(bytes, (gsize)length)) {
        *has_extents = TRUE;
        return TRUE;
    }
    const guint64 capacity = read_le64(bytes + 12);
    const guint64 sector = read_le64(bytes + 28);
    *has_extents = capacity == 0 && sector != 0;
    if (*has_extents && sector > G_MAXINT64 / 512 - DESCRIPTOR_BYTES)
        return dlk_image_fail(error, "vmdk", "has its descriptor outside of the image");
    *offset = *has_extents ? sector * 512 : SPARSE_DESCRIPTOR_OFFSET;
    return TRUE;
}

gboolean
dlk_image_vmdk_read(const DlkImageSource *source, DlkImageHeader *header, GError **error)
{
    guint64 offset;
    gboolean has_extents;
    if (!find_descriptor(source, &offset, &has_extents, error))
        return FALSE;
    g_autofree char *descriptor =
        read_descriptor(source, offset, has_extents ? DESCRIPTOR_BYTES : PARENT_BYTES, error);
    if (!descriptor)
        return FALSE;
    return read_parent(descriptor, header, error) &&
           (!has_extents || read_extents(descriptor, header, error));
}
