#include "core/acquire.h"

#include "base/error.h"
#include "base/fd.h"
#include "core/lock-job.h"

/* The way of one call; authorisation for the path came before, in the bus layer. */
static void (*const steps[])(DlkAcquire *self) = {
    /* who wants what? */
    dlk_acquire_find_process,
    dlk_acquire_authorise_process,
    dlk_acquire_authorise_paths,
    dlk_acquire_identify,
    dlk_acquire_follow_chains,
    dlk_acquire_choose_rules,
    dlk_acquire_authorise_disks,
    /* who gets it? */
    dlk_acquire_adopt,
    dlk_acquire_queue,
    dlk_acquire_lock,
    dlk_acquire_remember,
    dlk_acquire_announce,
};

typedef struct {
    GPtrArray *leases;
    int keep_fd;
} DlkGranted;

static void
granted_free(gpointer data)
{
    DlkGranted *granted = data;

    g_clear_pointer(&granted->leases, g_ptr_array_unref);
    dlk_close_fd(&granted->keep_fd);
    g_free(granted);
}

static void
item_free(DlkAcquire *self, DlkItem *item)
{
    g_assert(item->hold == NULL);
    g_clear_pointer(&item->lease, dlk_lease_unref);
    if (item->target)
        dlk_lock_job_drop_target(self->engine, item->target);
    g_free(item);
}

DlkItem *
dlk_acquire_add_item(DlkAcquire *self, DlkWanted *wanted)
{
    DlkItem *item = g_new0(DlkItem, 1);

    item->wanted = wanted;
    item->folder_watch = -1;
    g_ptr_array_add(self->items, item);
    return item;
}

void
dlk_acquire_remove_item(DlkAcquire *self, DlkItem *item)
{
    g_ptr_array_remove(self->items, item);
    item_free(self, item);
}

const char *
dlk_acquire_item_name(const DlkItem *item)
{
    const DlkWanted *wanted = item->wanted;

    if (wanted->origin)
        return wanted->origin;
    return wanted->path ? wanted->path : dlk_disk_label(item->target->disk);
}

static void
acquire_free(DlkAcquire *self)
{
    dlk_close_fd(&self->keep_fd);
    dlk_timers_cancel(self->engine->timers, &self->timer);
    if (self->gone_handler)
        g_cancellable_disconnect(self->request->caller->gone, self->gone_handler);
    for (guint i = 0; i < self->items->len; i++)
        item_free(self, dlk_acquire_item(self, i));
    g_ptr_array_unref(self->items);
    g_clear_pointer(&self->process, dlk_pid_ref_unref);
    g_clear_error(&self->error);
    dlk_request_free(self->request);
    g_object_unref(self->task);
    g_object_unref(self->engine);
    g_free(self);
}

/* Takes back whatever this request has in the table and whatever it has locked. */
void
dlk_acquire_take_back(DlkAcquire *self)
{
    for (guint i = 0; i < self->items->len; i++) {
        DlkItem *item = dlk_acquire_item(self, i);

        if (item->hold)
            dlk_lock_job_undo(self->engine, g_steal_pointer(&item->hold));
        if (item->lease && item->lease->places && !item->adopted)
            dlk_table_remove(self->engine->table, item->lease);
    }
    /* Only when all are out: the first to be woken may want several of them. */
    for (guint i = 0; i < self->items->len; i++)
        if (dlk_acquire_item(self, i)->lease && !dlk_acquire_item(self, i)->adopted)
            dlk_acquire_wake(self->engine, dlk_acquire_item(self, i)->lease->disk);
}

void
dlk_acquire_fail(DlkAcquire *self, GError *error)
{
    dlk_acquire_take_back(self);
    dlk_journal_refused(self->request, error);
    g_task_return_error(self->task, error);
    acquire_free(self);
}

void
dlk_acquire_fail_literal(DlkAcquire *self, int code, const char *message)
{
    dlk_acquire_fail(self, g_error_new_literal(DLK_ERROR, code, message));
}

/* The caller, the engine, the policy may have changed during every step that waited: each step looks afresh.
 */
void
dlk_acquire_run_step(DlkAcquire *self)
{
    if (dlk_caller_is_gone(self->request->caller)) {
        dlk_acquire_fail_literal(self, DLK_ERROR_NOT_AUTHORIZED, "the caller has left the bus");
        return;
    }
    steps[self->step](self);
}

void
dlk_acquire_go_on_with_new_items(DlkAcquire *self)
{
    while (steps[self->step] != dlk_acquire_authorise_paths)
        self->step--;
    dlk_acquire_run_step(self);
}

void
dlk_acquire_next(DlkAcquire *self)
{
    if (++self->step < G_N_ELEMENTS(steps)) {
        dlk_acquire_run_step(self);
        return;
    }

    DlkGranted *granted = g_new0(DlkGranted, 1);
    granted->leases = g_ptr_array_new_full(self->items->len, (GDestroyNotify)dlk_lease_unref);
    for (guint i = 0; i < self->items->len; i++)
        g_ptr_array_add(granted->leases, g_steal_pointer(&dlk_acquire_item(self, i)->lease));
    granted->keep_fd = g_steal_fd(&self->keep_fd);
    g_task_return_pointer(self->task, granted, granted_free);
    acquire_free(self);
}

/* A job of this step has come back; the step ends with the last of them. */
gboolean
dlk_acquire_job_done(DlkAcquire *self, GError *error)
{
    if (error && !self->error)
        self->error = error;
    else
        g_clear_error(&error);
    return --self->outstanding == 0;
}

typedef struct {
    DlkAcquire *acquire;
    DlkItem *item;
    DlkItemDone done;
} ItemCall;

gpointer
dlk_acquire_item_call(DlkAcquire *self, DlkItem *item, DlkItemDone done)
{
    ItemCall *call = g_new(ItemCall, 1);

    *call = (ItemCall){self, item, done};
    self->outstanding++;
    return call;
}

void
dlk_acquire_on_item_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autofree ItemCall *call = user_data;

    call->done(call->acquire, call->item, result);
}

void
dlk_engine_acquire_async(DlkEngine *engine, DlkRequest *request, GAsyncReadyCallback callback,
                         gpointer user_data)
{
    DlkAcquire *self = g_new0(DlkAcquire, 1);

    self->engine = g_object_ref(engine);
    self->task = g_task_new(engine, NULL, callback, user_data);
    self->request = request;
    self->keep_fd = -1;
    self->wait_until = g_get_monotonic_time() + (gint64)request->options->wait_ms * 1000;
    self->items = g_ptr_array_new();
    for (guint i = 0; i < request->wanted->len; i++)
        dlk_acquire_add_item(self, g_ptr_array_index(request->wanted, i));
    if (request->first_authorised) {
        dlk_acquire_item(self, 0)->leave = DLK_LEAVE_PATH;
        dlk_acquire_item(self, 0)->prompted = request->prompted;
    }
    dlk_acquire_run_step(self);
}

GPtrArray *
dlk_engine_acquire_finish(DlkEngine *engine, GAsyncResult *result, int *keep_fd, GError **error)
{
    DlkGranted *granted = g_task_propagate_pointer(G_TASK(result), error);

    *keep_fd = -1;
    if (!granted)
        return NULL;
    *keep_fd = g_steal_fd(&granted->keep_fd);
    GPtrArray *leases = g_steal_pointer(&granted->leases);
    granted_free(granted);
    return leases;
}
