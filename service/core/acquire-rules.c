#include "backend/backends.h"
#include "base/error.h"
#include "base/text.h"
#include "core/acquire.h"

/* ---- what the policy says of them ---- */

static gboolean
rule_allows(DlkAcquire *self, const DlkRule *rule, const DlkDisk *disk, DlkMode mode, GError **error)
{
    const DlkOptions *options = self->request->options;
    const char *label = dlk_disk_label(disk);

    if (rule->deny)
        g_set_error(error, DLK_ERROR, DLK_ERROR_POLICY_DENIED,
                    "%s: the policy's rule \"%s\" denies this disk", label, rule->name);
    else if (!(rule->modes & 1U << mode))
        g_set_error(error, DLK_ERROR, DLK_ERROR_POLICY_DENIED,
                    "%s: the policy's rule \"%s\" does not allow mode %s", label, rule->name,
                    dlk_mode_to_string(mode));
    else if (options->backend && !dlk_rule_allows_backend(rule, options->backend))
        g_set_error(error, DLK_ERROR, DLK_ERROR_POLICY_DENIED,
                    "%s: the policy's rule \"%s\" does not allow backend %s (see backend= there)", label,
                    rule->name, options->backend);
    else if (options->on_break_given && !(rule->on_break_allowed & 1U << options->on_break))
        g_set_error(error, DLK_ERROR, DLK_ERROR_POLICY_DENIED,
                    "%s: the policy's rule \"%s\" does not allow on-break %s (see on-break-allowed= there)",
                    label, rule->name, dlk_on_break_to_string(options->on_break));
    else
        return TRUE;
    return FALSE;
}

static gboolean
choose_backends(DlkAcquire *self, DlkItem *item, const DlkRule *rule, GError **error)
{
    const char *name = self->request->options->backend;

    item->backend = dlk_backends_get(name ? name : rule->backends[0]);
    if (!item->backend) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED, "%s: there is no backend %s",
                    dlk_disk_label(item->target->disk), name ? name : rule->backends[0]);
        return FALSE;
    }
    /* Who asked for a backend by name gets that one or none. */
    item->fallback = !name && rule->fallback == DLK_FALLBACK_HOST ? dlk_backends_get("host") : NULL;
    return TRUE;
}

static DlkLease *
make_lease(DlkAcquire *self, const DlkItem *item, DlkRule *rule)
{
    const DlkRequest *request = self->request;
    const DlkOptions *options = request->options;
    DlkLease *lease = dlk_lease_new(item->target->disk, rule, item->wanted->mode);
    const char *path = item->wanted->path ? item->wanted->path : dlk_disk_label(item->target->disk);

    dlk_lease_take_path(lease,
                        g_utf8_validate(path, -1, NULL) ? g_strdup(path) : dlk_text_printable(path, 0));
    lease->uid = request->caller->uid;
    lease->owner =
        options->owner ? g_ref_string_new(options->owner) : g_ref_string_acquire(request->caller->command);
    lease->owner_uuid = options->owner_uuid ? g_ref_string_new(options->owner_uuid) : NULL;
    lease->why = options->why ? g_ref_string_new(options->why) : NULL;
    lease->lifetime = options->lifetime;
    lease->on_break = options->on_break_given ? options->on_break : rule->on_break;
    lease->process = self->process ? dlk_pid_ref_ref(self->process) : NULL;
    lease->pid = self->process ? dlk_pid_ref_pid(self->process) : 0;
    lease->backend = dlk_backend_name(item->backend);
    lease->by_descriptor = item->wanted->path == NULL;
    lease->is_data_file = item->wanted->is_data_file;
    lease->group = self;
    return lease;
}

typedef enum {
    KIN_NONE,
    KIN_SAME_BASE, /* both read one disk: one lease serves both */
    KIN_CLASH,
} Kinship;

static Kinship
kinship(const DlkItem *a, const DlkItem *b)
{
    gboolean both_read = a->wanted->mode == DLK_MODE_READ_ONLY && b->wanted->mode == DLK_MODE_READ_ONLY;
    gboolean one_chain = a->wanted->chain != 0 && a->wanted->chain == b->wanted->chain;

    if (!dlk_disk_overlaps(a->target->disk, b->target->disk))
        return KIN_NONE;
    if (both_read && !one_chain && a->wanted->origin && b->wanted->origin &&
        g_str_equal(a->target->disk->id, b->target->disk->id))
        return KIN_SAME_BASE;
    return KIN_CLASH;
}

/*
 * Images of one domain may share a base. Any other disk that a request names twice cannot be meant: which of
 * the two leases would hold it?
 */
static Kinship
compare_with_earlier(DlkAcquire *self, guint index, GError **error)
{
    const DlkItem *item = dlk_acquire_item(self, index);

    for (guint i = 0; i < index; i++) {
        const DlkItem *other = dlk_acquire_item(self, i);
        Kinship kin = kinship(other, item);

        if (kin == KIN_CLASH)
            g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                        "%s and %s are one disk, or parts of one (%s): name it once",
                        dlk_acquire_item_name(other), dlk_acquire_item_name(item),
                        dlk_disk_label(item->target->disk));
        if (kin != KIN_NONE)
            return kin;
    }
    return KIN_NONE;
}

static gboolean
merge_items(DlkAcquire *self, GError **error)
{
    for (guint i = 0; i < self->items->len;) {
        Kinship kin = compare_with_earlier(self, i, error);

        if (kin == KIN_CLASH)
            return FALSE;
        if (kin == KIN_SAME_BASE)
            dlk_acquire_remove_item(self, dlk_acquire_item(self, i));
        else
            i++;
    }
    return TRUE;
}

void
dlk_acquire_choose_rules(DlkAcquire *self)
{
    GError *error = NULL;

    if (!merge_items(self, &error)) {
        dlk_acquire_fail(self, error);
        return;
    }
    for (guint i = 0; i < self->items->len; i++) {
        DlkItem *item = dlk_acquire_item(self, i);
        DlkRule *rule = dlk_policy_match(self->engine->policy, item->target->disk);

        if (!rule_allows(self, rule, item->target->disk, item->wanted->mode, &error) ||
            !choose_backends(self, item, rule, &error)) {
            dlk_acquire_fail(self, error);
            return;
        }
        item->lease = make_lease(self, item, rule);
    }
    dlk_acquire_next(self);
}
