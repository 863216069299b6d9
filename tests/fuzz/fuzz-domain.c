#include "base/error.h"
#include "base/text.h"
#include "model/domain.h"
#include "model/network-disk.h"
#include "model/storage-pool.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

/* What the rest of the service relies on. */
static void
check_disk(const DlkDomainDisk *disk)
{
    g_assert_true(dlk_text_is_clean(disk->path));
    g_assert_true(disk->path[0] == '/' || dlk_network_is_uri(disk->path) || dlk_volume_is_uri(disk->path));
    g_assert_true(dlk_text_is_clean(disk->element));
    g_assert_true(disk->line > 0);
    g_assert_true(!disk->format || dlk_text_is_clean(disk->format));
    g_assert_true(g_strcmp0(disk->format, "raw") != 0 || !(disk->probe_chain || disk->probe_data_file));
    if (disk->path[0] != '/') {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkDisk) identity = dlk_identify_network(disk->path, &error);
        g_assert_true(!identity == !!error);
    }
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = dlk_domain_parse((const char *)data, size, &error);
    if (!disks) {
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        g_assert_true(g_str_has_prefix(error->message, "line "));
        g_assert_true(dlk_text_is_clean(error->message));
        return 0;
    }
    g_assert_no_error(error);
    g_assert_cmpuint(disks->len, <=, DLK_DOMAIN_MAX_DISKS);
    for (guint i = 0; i < disks->len; i++)
        check_disk(disks->pdata[i]);
    return 0;
}
