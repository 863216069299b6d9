#include "backend/backends.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "core/acquire.h"
#include "core/authority.h"

/* ---- whom the leases are for ---- */

void
dlk_acquire_find_process(DlkAcquire *self)
{
    DlkOptions *options = self->request->options;
    DlkCaller *caller = self->request->caller;
    GError *error = NULL;

    if (self->request->pidfd >= 0)
        self->process = dlk_pid_ref_new_for_pidfd(g_steal_fd(&self->request->pidfd), &error);
    else if (options->pid)
        self->process = dlk_pid_ref_new((pid_t)options->pid, &error);
    else if (caller->process)
        self->process = dlk_pid_ref_ref(caller->process);
    else if (options->lifetime == DLK_LIFETIME_PROCESS)
        g_set_error_literal(
            &error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
            "lifetime process needs a process, and the caller's cannot be seen from here: give pidfd");
    if (error)
        dlk_acquire_fail(self, error);
    else
        dlk_acquire_next(self);
}

static void
on_process_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkAcquire *self = user_data;
    GError *error = NULL;

    if (!dlk_authority_ask_finish(self->engine, result, &self->request->prompted, &error))
        dlk_acquire_fail(self, error);
    else
        dlk_acquire_next(self);
}

/* A lease that may stop or kill somebody else's process, or the caller's own, is more than a lock. */
void
dlk_acquire_authorise_process(DlkAcquire *self)
{
    const DlkRequest *request = self->request;
    gboolean others = self->process && dlk_pid_ref_uid(self->process) != request->caller->uid;
    gboolean acts = request->options->on_break_given && request->options->on_break != DLK_ON_BREAK_SIGNAL;

    if (request->caller->uid == 0 || (!others && !acts)) {
        dlk_acquire_next(self);
        return;
    }
    dlk_authority_ask_async(self->engine, request->caller, "acquire-for-others",
                            dlk_request_details(request, g_ptr_array_index(request->wanted, 0), NULL, NULL),
                            request->interactive, on_process_authorised, self);
}

/* ---- what the disks are ---- */

static void
identify_one_done(DlkAcquire *self, DlkItem *item, GAsyncResult *result)
{
    GError *error = NULL;

    item->target = dlk_identification_finish(result, &error);
    if (!dlk_acquire_job_done(self, error))
        return;
    if (self->error)
        dlk_acquire_fail(self, g_steal_pointer(&self->error));
    else
        dlk_acquire_next(self);
}

void
dlk_acquire_identify(DlkAcquire *self)
{
    for (guint i = 0; i < self->items->len; i++) {
        DlkWanted *wanted = g_ptr_array_index(self->request->wanted, i);

        dlk_identification_start(self->engine, wanted->path, g_steal_fd(&wanted->fd), wanted->mode,
                                 self->request->caller->uid, dlk_acquire_on_item_done,
                                 dlk_acquire_item_call(self, dlk_acquire_item(self, i), identify_one_done));
    }
}

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

    lease->path = g_utf8_validate(path, -1, NULL) ? g_strdup(path) : dlk_text_printable(path, 0);
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
    lease->group = self;
    return lease;
}

/* One disk twice in one request cannot be meant: which of the two leases would hold it? */
static gboolean
is_new_to_request(DlkAcquire *self, guint index, GError **error)
{
    const DlkDisk *disk = dlk_acquire_item(self, index)->target->disk;

    for (guint i = 0; i < index; i++) {
        const DlkDisk *other = dlk_acquire_item(self, i)->target->disk;

        if (!dlk_disk_overlaps(other, disk))
            continue;
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "%s and %s are one disk or parts of one: name it once", dlk_disk_label(other),
                    dlk_disk_label(disk));
        return FALSE;
    }
    return TRUE;
}

void
dlk_acquire_choose_rules(DlkAcquire *self)
{
    GError *error = NULL;

    for (guint i = 0; i < self->items->len; i++) {
        DlkItem *item = dlk_acquire_item(self, i);
        DlkRule *rule = dlk_policy_match(self->engine->policy, item->target->disk);

        if (!rule_allows(self, rule, item->target->disk, item->wanted->mode, &error) ||
            !choose_backends(self, item, rule, &error) || !is_new_to_request(self, i, &error)) {
            dlk_acquire_fail(self, error);
            return;
        }
        item->lease = make_lease(self, item, rule);
    }
    dlk_acquire_next(self);
}

/* ---- may the caller have these disks? ---- */

static void on_disk_authorised(GObject *source, GAsyncResult *result, gpointer user_data);

/*
 * polkit said yes to a path; where that leads is known only now, and its rules may know the disk. A caller
 * for whom a person has just given a password is not asked for it again.
 */
void
dlk_acquire_authorise_disks(DlkAcquire *self)
{
    const DlkRequest *request = self->request;
    const DlkItem *item = dlk_acquire_item(self, self->asked);

    if (request->caller->uid == 0 || self->asked == self->items->len) {
        dlk_acquire_next(self);
        return;
    }
    dlk_authority_ask_async(
        self->engine, request->caller, request->action,
        dlk_request_details(request, item->wanted, item->lease->disk->id, item->lease->backend),
        request->interactive && !request->prompted, on_disk_authorised, self);
}

static void
on_disk_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkAcquire *self = user_data;
    GError *error = NULL;

    if (!dlk_authority_ask_finish(self->engine, result, &self->request->prompted, &error)) {
        dlk_acquire_fail(self, error);
        return;
    }
    self->asked++;
    dlk_acquire_run_step(self);
}
