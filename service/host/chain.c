#include "host/chain.h"

#include "base/error.h"
#include "model/backing-name.h"
#include "model/disk-name.h"
#include "model/image-header.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void
dlk_chain_link_free(DlkChainLink *self)
{
    g_free(self->path);
    g_free(self->format);
    g_free(self);
}

static gssize
read_image(gpointer image, guint64 offset, gpointer buffer, gsize length)
{
    const int fd = *(const int *)image;
    gsize done = 0;
    while (done < length) {
        const gssize count = pread(fd, (char *)buffer + done, length - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        if (count == 0)
            break;
        done += (gsize)count;
    }
    return (gssize)done;
}

/* In images of old the format is the protocol that they were made with. */
static const char *
format_of(const char *name)
{
    static const char *const protocols[] = {"file", "host_device", "host_cdrom", NULL};
    return name && g_strv_contains(protocols, name) ? "raw" : name;
}

static gboolean
add_backing(const DlkImageHeader *header, const char *path, GPtrArray *next, GError **error)
{
    g_autoptr(DlkChainLink) link = g_new0(DlkChainLink, 1);
    g_autofree char *format = NULL;
    if (!dlk_backing_name_resolve(header->backing, path, &link->path, &format, error))
        return FALSE;
    link->format = g_strdup(format_of(header->backing_format ? header->backing_format : format));
    g_ptr_array_add(next, g_steal_pointer(&link));
    return TRUE;
}

static gboolean
add_data_file(const char *name, const char *path, GPtrArray *next, GError **error)
{
    g_autoptr(DlkChainLink) link = g_new0(DlkChainLink, 1);
    g_autofree char *format = NULL;
    if (dlk_disk_name_has_protocol(name)) {
        g_set_error_literal(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                            "the image's header names a data file that is no path");
        return FALSE;
    }
    if (!dlk_backing_name_resolve(name, path, &link->path, &format, error))
        return FALSE;
    link->format = g_strdup("raw");
    link->is_data_file = TRUE;
    g_ptr_array_add(next, g_steal_pointer(&link));
    return TRUE;
}

static gboolean
add_links(const DlkImageHeader *header, const char *path, GPtrArray *next, GError **error)
{
    for (guint i = 0; i < header->data_files->len; i++)
        if (!add_data_file(header->data_files->pdata[i], path, next, error))
            return FALSE;
    return !header->backing || add_backing(header, path, next, error);
}

gboolean
dlk_chain_next(const DlkTarget *target, const char *path, const char *format, GPtrArray *next, GError **error)
{
    if (target->fd < 0 || g_strcmp0(format, "raw") == 0)
        return TRUE;
    dlk_autofd fd = dlk_target_open(target, O_RDONLY);
    if (fd < 0) {
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                   "opening the image to read its header");
    }
    g_autoptr(DlkImageHeader) header = dlk_image_header_read(read_image, &fd, format, error);
    return header && add_links(header, path, next, error);
}
