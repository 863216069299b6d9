#include "base/error.h"
#include "core/acquire.h"
#include "core/lock-job.h"
#include "host/chain.h"

#include <errno.h>
#include <fcntl.h>

/* What the disks of a request are, and which others their headers name. */

/* A backing chain and a domain have an end; headers that guests write need not. */
#define MAX_ITEMS 1024

/* "backing file of disk vda (line 12): …" */
static void
say_what_it_was(const DlkItem *item, GError **error)
{
    if (item->wanted->origin)
        g_prefix_error(error, "%s: ", item->wanted->origin);
}

/* One disk twice in one chain: the chain has no end, or would be written to where it is read. */
static gboolean
closes_loop(const DlkItem *item, GError **error)
{
    for (const DlkItem *above = item->above; above; above = above->above) {
        if (!g_str_equal(above->target->disk->id, item->target->disk->id))
            continue;
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the backing chain loops: it names %s twice",
                    dlk_disk_label(item->target->disk));
        return TRUE;
    }
    return FALSE;
}

static void
drop_missing(DlkAcquire *self)
{
    for (guint i = self->items->len; i > 0; i--) {
        DlkItem *item = dlk_acquire_item(self, i - 1);

        if (!item->target)
            dlk_acquire_remove_item(self, item);
    }
}

/* From here on the disk goes by the name that QEMU opens it by. */
static void
take_volume_path(DlkItem *item, GAsyncResult *result)
{
    g_autofree char *path = dlk_identification_volume_path(result);

    if (!path)
        return;
    g_free(item->wanted->path);
    item->wanted->path = g_steal_pointer(&path);
    item->prompted = FALSE; /* who agreed was shown the volume's name */
}

/* One disk, or the starting of all of them, is done. */
static void
identify_part_done(DlkAcquire *self, GError *error)
{
    if (!dlk_acquire_job_done(self, error))
        return;
    if (self->error) {
        dlk_acquire_fail(self, g_steal_pointer(&self->error));
        return;
    }
    drop_missing(self);
    dlk_acquire_next(self);
}

/* @item has its target, or @error (taken over) says why not. */
static void
identified(DlkAcquire *self, DlkItem *item, GError *error)
{
    /* libvirt starts without such a disk, or makes it: there is nothing to lock yet. */
    if (item->wanted->optional && g_error_matches(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK))
        g_clear_error(&error);
    if (item->target)
        closes_loop(item, &error);
    say_what_it_was(item, &error);
    identify_part_done(self, error);
}

static void
on_identified(DlkAcquire *self, DlkItem *item, GAsyncResult *result)
{
    GError *error = NULL;

    item->target = dlk_identification_finish(result, &error);
    take_volume_path(item, result);
    identified(self, item, error);
}

static void
identify(DlkAcquire *self, DlkItem *item)
{
    DlkWanted *wanted = item->wanted;

    item->target = wanted->path ? dlk_identification_peek(self->engine, wanted->path) : NULL;
    if (item->target) {
        self->outstanding++;
        identified(self, item, NULL);
        return;
    }
    /* The worker closes its copy. */
    const int fd = wanted->fd >= 0 ? fcntl(wanted->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (wanted->fd >= 0 && fd < 0) {
        GError *error = NULL;

        dlk_set_error_errno(&error, DLK_ERROR_BACKEND_FAILED, errno, "the descriptor");
        self->outstanding++;
        identified(self, item, error);
        return;
    }
    dlk_identification_start(self->engine, wanted->path, fd, wanted->mode, self->request->caller->uid, "",
                             dlk_acquire_on_item_done, dlk_acquire_item_call(self, item, on_identified));
}

void
dlk_acquire_identify(DlkAcquire *self)
{
    self->outstanding++; /* the step is not over before all have been started */
    for (guint i = 0; i < self->items->len; i++)
        if (!dlk_acquire_item(self, i)->target)
            identify(self, dlk_acquire_item(self, i));
    identify_part_done(self, NULL);
}

/* ---- backing chains ---- */

typedef struct {
    DlkTarget *target;
    char *path, *format;
} Input;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_target_unref(input->target);
    g_free(input->path);
    g_free(input->format);
    g_free(input);
}

static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    g_autoptr(GPtrArray) links = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_chain_link_free);

    if (!dlk_chain_next(input->target, input->path, input->format, links, error))
        return NULL;
    return g_steal_pointer(&links);
}

static const DlkJob chain_job = {"read header", run, input_free, (GDestroyNotify)g_ptr_array_unref};

static void
add_link(DlkAcquire *self, const DlkItem *above, const DlkChainLink *link)
{
    const DlkWanted *wanted = above->wanted;
    /* Of what format is not known a guest may have written the header: then it keeps nobody from reading. */
    const gboolean is_written = link->is_data_file && wanted->format;
    const DlkMode mode = is_written ? wanted->mode : DLK_MODE_READ_ONLY;
    DlkWanted *next;

    if (!(link->is_data_file ? wanted->probe_data_file : wanted->probe_chain))
        return;
    next = dlk_request_add(self->request, link->path, -1, mode);
    next->format = g_strdup(link->format);
    next->is_data_file = link->is_data_file;
    next->probe_chain = next->probe_data_file = !link->is_data_file;
    next->origin = g_strdup_printf("%s of %s", link->is_data_file ? "data file" : "backing file",
                                   wanted->origin ? wanted->origin : wanted->path);
    dlk_acquire_add_item(self, next)->above = above;
}

static void
follow_one_done(DlkAcquire *self, DlkItem *item, GAsyncResult *result)
{
    GError *error = NULL;
    g_autoptr(GPtrArray) links = dlk_pool_run_finish(self->engine->pool, result, &error);

    item->followed = TRUE;
    for (guint i = 0; links && i < links->len && !error; i++) {
        if (self->items->len < MAX_ITEMS)
            add_link(self, item, g_ptr_array_index(links, i));
        else
            g_set_error(&error, DLK_ERROR, DLK_ERROR_INVALID_ARGS, "the request names more than %d disks",
                        MAX_ITEMS);
    }
    if (error)
        g_prefix_error(&error, "%s: ", item->wanted->path);
    say_what_it_was(item, &error);
    if (!dlk_acquire_job_done(self, error))
        return;
    if (self->error)
        dlk_acquire_fail(self, g_steal_pointer(&self->error));
    else
        dlk_acquire_go_on_with_new_items(self);
}

static void
follow(DlkAcquire *self, DlkItem *item)
{
    const DlkDisk *disk = item->target->disk;
    Input *input = g_new0(Input, 1);

    input->target = dlk_target_ref(item->target);
    input->path = g_strdup(item->wanted->path);
    input->format = g_strdup(item->wanted->format);
    dlk_pool_run_async(self->engine->pool, &chain_job, input, disk->lane, NULL,
                       g_get_monotonic_time() +
                           dlk_policy_match(self->engine->policy, disk)->unreachable_after,
                       dlk_acquire_on_item_done, dlk_acquire_item_call(self, item, follow_one_done));
}

void
dlk_acquire_follow_chains(DlkAcquire *self)
{
    guint n = self->items->len;
    gboolean asked = FALSE;

    for (guint i = 0; i < n; i++) {
        DlkItem *item = dlk_acquire_item(self, i);

        if (item->followed || (!item->wanted->probe_chain && !item->wanted->probe_data_file))
            continue;
        asked = TRUE;
        follow(self, item);
    }
    if (!asked)
        dlk_acquire_next(self);
}
