#include "base/error.h"
#include "bus/handlers.h"
#include "model/domain.h"

#include <string.h>

/* AcquireDomain: the disks of a libvirt domain, as one request. */

gboolean
dlk_acquire_domain_prepare(DlkCall *call, GError **error)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(call->parameters, 1);
    DlkRequest *request = dlk_request_of_call(call, dictionary, FALSE, error);

    if (!request)
        return FALSE;
    call->request = request;
    if (call->caller->uid != 0)
        call->details = g_variant_ref_sink(dlk_request_details(request, NULL, NULL));
    return TRUE;
}

static void
want(DlkRequest *request, const DlkDomainDisk *disk)
{
    DlkWanted *wanted = dlk_request_add(request, disk->path, -1, disk->mode);

    wanted->origin = g_strdup_printf("%s (line %u)", disk->element, disk->line);
    wanted->format = g_strdup(disk->format);
    wanted->probe_chain = disk->probe_chain;
    wanted->probe_data_file = disk->probe_data_file;
    wanted->optional = disk->optional;
    wanted->chain = disk->chain;
}

/* The document is read only for who may acquire at all: four megabytes of it take their time. */
void
dlk_acquire_domain_run(DlkCall *call)
{
    GError *error = NULL;
    const char *xml;

    g_variant_get_child(call->parameters, 0, "&s", &xml);
    g_autoptr(GPtrArray) disks = dlk_domain_parse(xml, strlen(xml), &error);
    if (!disks) {
        dlk_call_fail(call, error);
        return;
    }
    for (guint i = 0; i < disks->len; i++)
        want(call->request, g_ptr_array_index(disks, i));
    dlk_acquire_all_run(call);
}
