#include "base/error.h"
#include "core/acquire.h"
#include "core/authority.h"

/* ---- whom the leases are for ---- */

/* One that came by a descriptor has no name yet. */
static void
name_first_disk(const DlkAcquire *self, GError **error)
{
    const DlkItem *first = self->items->len > 0 ? dlk_acquire_item(self, 0) : NULL;

    if (first && first->wanted->path)
        g_prefix_error(error, "%s: ", dlk_acquire_item_name(first));
}

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
    /* What is wrong with the process is plain from its number; what is wrong with this service is some disk's
     * refusal. */
    if (g_error_matches(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED))
        name_first_disk(self, &error);
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

    if (!dlk_authority_ask_finish(self->engine, result, &self->prompted, &error)) {
        name_first_disk(self, &error);
        dlk_acquire_fail(self, error);
    } else {
        dlk_acquire_next(self);
    }
}

/* A lease that may stop or kill somebody else's process, or the caller's own, is more than a lock. */
void
dlk_acquire_authorise_process(DlkAcquire *self)
{
    const DlkRequest *request = self->request;
    gboolean others = self->process && dlk_pid_ref_uid(self->process) != request->caller->uid;
    gboolean acts = request->options->on_break_given && request->options->on_break != DLK_ON_BREAK_SIGNAL;

    self->needed = others || acts ? DLK_LEAVE_ACT : DLK_LEAVE_DISK;
    if (request->caller->uid == 0 || self->needed == DLK_LEAVE_DISK) {
        dlk_acquire_next(self);
        return;
    }
    const DlkWanted *first = request->wanted->len > 0 ? g_ptr_array_index(request->wanted, 0) : NULL;
    dlk_authority_ask_async(self->engine, request->caller, "acquire-for-others",
                            dlk_request_details(request, first, NULL), request->interactive,
                            on_process_authorised, self);
}

/* ---- may the caller name these paths? ---- */

static void on_path_authorised(GObject *source, GAsyncResult *result, gpointer user_data);

static DlkItem *
first_without(DlkAcquire *self, DlkLeave leave)
{
    for (guint i = 0; i < self->items->len; i++)
        if (dlk_acquire_item(self, i)->leave < leave)
            return dlk_acquire_item(self, i);
    return NULL;
}

/*
 * The bus layer asked about the first path. The others of a set, a domain's, and those that images' headers
 * name are asked about one by one, each before it is touched, and with a prompt of its own if it takes one.
 */
void
dlk_acquire_authorise_paths(DlkAcquire *self)
{
    const DlkRequest *request = self->request;
    const DlkItem *item = request->caller->uid == 0 ? NULL : first_without(self, DLK_LEAVE_PATH);

    if (!item) {
        dlk_acquire_next(self);
        return;
    }
    dlk_authority_ask_async(self->engine, request->caller, request->action,
                            dlk_request_details(request, item->wanted, NULL), request->interactive,
                            on_path_authorised, self);
}

static void
on_path_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkAcquire *self = user_data;
    DlkItem *item = first_without(self, DLK_LEAVE_PATH);
    GError *error = NULL;

    if (!dlk_authority_ask_finish(self->engine, result, &item->prompted, &error)) {
        g_prefix_error(&error, "%s: ", dlk_acquire_item_name(item)); /* which of the set? */
        dlk_acquire_fail(self, error);
        return;
    }
    item->leave = DLK_LEAVE_PATH;
    dlk_acquire_run_step(self);
}

/* ---- may the caller have the disks that they lead to? ---- */

static void on_disk_authorised(GObject *source, GAsyncResult *result, gpointer user_data);

/* polkit said yes to a path; where that leads is known only now, and its rules may know the disk. */
static void
ask_about_disk(DlkAcquire *self, DlkItem *item)
{
    const DlkRequest *request = self->request;
    const gboolean prompts =
        dlk_authority_prompts(item->lease->disk, item->wanted->path, request->interactive, &item->prompted);

    dlk_authority_ask_async(self->engine, request->caller, request->action,
                            dlk_request_details(request, item->wanted, item->lease), prompts,
                            on_disk_authorised, self);
}

/* So may a rule about whose process may be stopped for which disk. */
static void
ask_about_process(DlkAcquire *self, DlkItem *item)
{
    const DlkRequest *request = self->request;
    const DlkWanted *first = g_ptr_array_index(request->wanted, 0);

    item->prompted = self->prompted;
    const gboolean prompts =
        dlk_authority_prompts(item->lease->disk, first->path, request->interactive, &item->prompted);
    dlk_authority_ask_async(self->engine, request->caller, "acquire-for-others",
                            dlk_request_details(request, item->wanted, item->lease), prompts,
                            on_disk_authorised, self);
}

void
dlk_acquire_authorise_disks(DlkAcquire *self)
{
    DlkItem *item = self->request->caller->uid == 0 ? NULL : first_without(self, self->needed);

    if (!item)
        dlk_acquire_next(self);
    else if (item->leave < DLK_LEAVE_DISK)
        ask_about_disk(self, item);
    else
        ask_about_process(self, item);
}

static void
on_disk_authorised(GObject *source, GAsyncResult *result, gpointer user_data)
{
    DlkAcquire *self = user_data;
    DlkItem *item = first_without(self, self->needed);
    GError *error = NULL;

    if (!dlk_authority_ask_finish(self->engine, result, &item->prompted, &error)) {
        g_prefix_error(&error, "%s: ", dlk_acquire_item_name(item)); /* which of the set? */
        dlk_acquire_fail(self, error);
        return;
    }
    item->leave++;
    dlk_acquire_run_step(self);
}
