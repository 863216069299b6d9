#include "base/error.h"
#include "base/text.h"
#include "bus/handlers.h"
#include "model/domain-name.h"
#include "model/domain.h"

#include <string.h>

/* AcquireDomain: the disks of a libvirt domain, as one request. */

/*
 * The document is read before polkit is asked, which is told of its first disk. It takes time in proportion
 * to its length: who is not root gets as much as any real domain needs.
 */
#define MAX_BYTES_OF_USERS (256 * 1024)

static void
want(DlkRequest *request, const DlkDomainDisk *disk)
{
    DlkWanted *wanted = dlk_request_add(request, disk->path, -1, disk->mode);

    wanted->origin = g_strdup_printf("%s (line %u)", disk->element, disk->line);
    wanted->format = g_strdup(disk->format);
    wanted->probe_chain = disk->probe_chain;
    wanted->probe_data_file = disk->probe_data_file;
    wanted->is_data_file = disk->is_data_file;
    wanted->optional = disk->optional;
    wanted->chain = disk->chain;
}

/* Whom the leases are for, where the caller did not say: the domain. */
static gboolean
name_owner(DlkCall *call, DlkOptions *options, const char *xml, gsize length, GError **error)
{
    gsize limit = dlk_engine_limits(call->engine)->string_length;
    g_autofree char *name = NULL, *uuid = NULL;

    if (options->owner && options->owner_uuid)
        return TRUE;
    if (!dlk_domain_name_read(xml, length, &name, &uuid, error))
        return FALSE;
    if (!options->owner && name && *name)
        options->owner = dlk_text_printable(name, limit);
    if (!options->owner_uuid && uuid && *uuid)
        options->owner_uuid = dlk_text_printable(uuid, limit);
    return TRUE;
}

static gboolean
read_document(DlkCall *call, DlkRequest *request, GError **error)
{
    const char *xml;

    g_variant_get_child(call->parameters, 0, "&s", &xml);
    gsize length = strlen(xml);
    if (call->caller->uid != 0 && length > MAX_BYTES_OF_USERS) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_LIMIT_EXCEEDED,
                    "the domain's XML has %" G_GSIZE_FORMAT " bytes; %d are allowed to who is not root",
                    length, MAX_BYTES_OF_USERS);
        return FALSE;
    }

    g_autoptr(GPtrArray) disks = dlk_domain_parse(xml, length, error);
    if (!disks || !name_owner(call, request->options, xml, length, error))
        return FALSE;
    for (guint i = 0; i < disks->len; i++)
        want(request, g_ptr_array_index(disks, i));
    return TRUE;
}

gboolean
dlk_acquire_domain_prepare(DlkCall *call, GError **error)
{
    g_autoptr(GVariant) dictionary = g_variant_get_child_value(call->parameters, 1);
    g_autoptr(DlkRequest) request = dlk_request_of_call(call, dictionary, FALSE, error);

    if (!request)
        return FALSE;
    /* A document that is wrong has no path to ask about; what is wrong with it is no stranger's business. */
    if (!read_document(call, request, &call->problem))
        g_ptr_array_set_size(request->wanted, 0);
    dlk_call_set_request(call, g_steal_pointer(&request));
    return TRUE;
}

void
dlk_acquire_domain_run(DlkCall *call)
{
    if (call->problem)
        dlk_call_fail(call, g_steal_pointer(&call->problem));
    else
        dlk_acquire_all_run(call);
}
