#include "backend/reach.h"

#include "base/error.h"
#include "base/text.h"

char *
dlk_reach_limit(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule)
{
    const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(backend);
    if (!klass->reaches_other_hosts)
        return g_strdup_printf("the backend %s is known to this host alone", klass->name);
    return klass->reach_limit != NULL ? klass->reach_limit(backend, target, rule) : NULL;
}

char *
dlk_reach_unseen_loss(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule)
{
    const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(backend);
    return klass->unseen_loss != NULL ? klass->unseen_loss(backend, target, rule) : NULL;
}

gboolean
dlk_reach_suffices(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    g_autofree char *limit = rule->reach == DLK_REACH_HOSTS ? dlk_reach_limit(backend, target, rule) : NULL;
    if (limit != NULL) {
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
            "%s: the policy's rule \"%s\" asks for locks that keep out other hosts (reach=hosts), and %s; "
            "change that, or say reach=host in the rule to have the disk protected on this host alone",
            label, rule->name, limit);
        return FALSE;
    }
    g_autofree char *unseen = rule->refuse_unseen_loss ? dlk_reach_unseen_loss(backend, target, rule) : NULL;
    if (unseen == NULL)
        return TRUE;
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
        "%s: the policy's rule \"%s\" asks for locks whose loss is always seen (unseen-loss=refuse), and "
        "%s; change that, or say unseen-loss=accept in the rule",
        label, rule->name, unseen);
    return FALSE;
}
