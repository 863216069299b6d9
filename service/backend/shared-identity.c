#include "backend/shared-identity.h"

#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

static void
refuse(const DlkTarget *target, GError **error, const char *why)
{
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
        "%s has no identity that is the same on every host (%s), and a lockspace keeps apart what has one",
        label, why);
}

/* "network:PROTOCOL://HOST/NAME"; without a host it is of this host, but for clusters that each host knows by
 * its own configuration, and "+unix" is a socket of this host. */
static gboolean
is_on_the_network(const char *id)
{
    const char *uri = id + strlen("network:");
    const char *hosts = strstr(uri, "://");
    if (hosts == NULL || (strchr(uri, '+') != NULL && strchr(uri, '+') < hosts))
        return FALSE;
    return hosts[strlen("://")] != '/' || g_str_has_prefix(uri, "rbd:") || g_str_has_prefix(uri, "sheepdog:");
}

static char *
file_identity(const DlkTarget *target, int folder, GError **error)
{
    struct stat file, lockspace;
    if (folder < 0 || fstat(folder, &lockspace) < 0 || target->fd < 0 || fstat(target->fd, &file) < 0) {
        g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "%s and its lockspace", label);
        return NULL;
    }
    if (file.st_dev != lockspace.st_dev) {
        refuse(target, error, "a file has one only where its lockspace is on the same filesystem");
        return NULL;
    }
    return g_strdup_printf("inode:%" G_GUINT64_FORMAT, (guint64)file.st_ino);
}

char *
dlk_shared_identity(const DlkTarget *target, int folder, GError **error)
{
    const char *id = target->disk->id;
    if (target->disk->kind == DLK_KIND_FILE)
        return file_identity(target, folder, error);
    if (g_str_has_prefix(id, "wwid:") || g_str_has_prefix(id, "lvm:") || g_str_has_prefix(id, "md:"))
        return g_strdup(id);
    if (target->disk->kind == DLK_KIND_NETWORK && is_on_the_network(id))
        return g_strdup(id);
    refuse(target, error,
           target->disk->kind == DLK_KIND_NETWORK ? "it is of this host"
                                                  : "no WWID, and no UUID of LVM or of a RAID array");
    return NULL;
}
