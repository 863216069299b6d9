#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "core/internal.h"
#include "host/resolve-cached.h"
#include "host/volume.h"
#include "model/network-disk.h"
#include "model/storage-pool.h"

#include <limits.h>
#include <string.h>

/* A path may lead from filesystem to filesystem by its links; as many as a kernel's walk has links. */
#define MAX_LANES 40
/* libvirt's description of its pools, on this host's own filesystems. */
#define VOLUME_LANE "storage pools"

typedef struct {
    char *path;        /* what is left to resolve, or NULL for a descriptor */
    char *named;       /* what the caller named, for messages */
    char *volume_path; /* of a volume of libvirt's: the path by which QEMU opens it, or NULL */
    char *lane;
    char *queue; /* before the lane's name: whose work it is, "" for everybody's */
    gint64 deadline;
    guint lanes;
} Identification;

typedef struct {
    DlkMounts *mounts;
    char *path;
    int fd;
    DlkMode mode;
    char *lane;
} Input;

typedef struct {
    DlkTarget *target;
    char *elsewhere;
} Output;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_close_fd(&input->fd);
    dlk_mounts_unref(input->mounts);
    g_free(input->path);
    g_free(input->lane);
    g_free(input);
}

static void
output_free(gpointer data)
{
    Output *output = data;

    g_clear_pointer(&output->target, dlk_target_unref);
    g_free(output->elsewhere);
    g_free(output);
}

static void
identification_free(gpointer data)
{
    Identification *self = data;

    g_free(self->path);
    g_free(self->named);
    g_free(self->volume_path);
    g_free(self->lane);
    g_free(self->queue);
    g_free(self);
}

static DlkTarget *
look(Input *input, char **elsewhere, GError **error)
{
    if (!input->path)
        return dlk_identify_fd(input->mounts, g_steal_fd(&input->fd), input->mode, input->lane, error);
    if (!dlk_volume_is_uri(input->path))
        return dlk_identify_path(input->mounts, input->path, input->lane, elsewhere, error);
    *elsewhere = dlk_volume_locate(input->path, dlk_volume_pool_folders, error);
    return NULL;
}

static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    g_autofree char *elsewhere = NULL;
    DlkTarget *target = look(input, &elsewhere, error);

    if (!target && !elsewhere)
        return NULL;

    Output *output = g_new0(Output, 1);
    output->target = target;
    output->elsewhere = g_steal_pointer(&elsewhere);
    return output;
}

/* From here on whoever opens the disk opens it as its rule says. */
static void
open_by_rule(DlkEngine *engine, DlkTarget *target)
{
    dlk_target_set_open_as(target, dlk_policy_match(engine->policy, target->disk)->open_as);
}

static const DlkJob identify_job = {"identify", run, input_free, output_free};

static void on_identified(GObject *source, GAsyncResult *result, gpointer user_data);

static void
submit(GTask *task, int fd, DlkMode mode)
{
    DlkEngine *engine = g_task_get_source_object(task);
    Identification *self = g_task_get_task_data(task);
    Input *input = g_new0(Input, 1);

    input->mounts = dlk_mounts_ref(dlk_mount_table_get(engine->mounts));
    input->path = g_strdup(self->path);
    input->fd = fd;
    input->mode = mode;
    input->lane = g_strdup(self->lane);
    g_autofree char *lane = g_strconcat(self->queue, self->lane, NULL);
    dlk_pool_run_async(engine->pool, &identify_job, input, lane, NULL, self->deadline, on_identified,
                       g_object_ref(task));
}

/* The lane of the filesystem that self->path seems to be on; the rule that may match bounds the time. */
static void
choose_lane(DlkEngine *engine, Identification *self)
{
    g_autofree char *normal = dlk_resolve_normalize(self->path);
    const DlkMount *mount = dlk_mounts_of_path(dlk_mount_table_get(engine->mounts), normal);
    const char *filesystem = mount ? mount->filesystem : NULL;

    g_free(self->lane);
    self->lane = g_strdup(mount ? mount->lane : "");
    if (self->lanes++ == 0)
        self->deadline = g_get_monotonic_time() +
                         dlk_policy_match_early(engine->policy, normal, filesystem)->unreachable_after;
}

static gboolean
check_path(const char *path, GError **error)
{
    g_autofree char *printable = dlk_text_printable(path, 80);

    if (path[0] != '/') {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "\"%s\" is not an absolute path: it must start with /", printable);
        return FALSE;
    }
    if (strlen(path) >= PATH_MAX) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "the path %s has %" G_GSIZE_FORMAT " bytes; at most %d are allowed", printable,
                    strlen(path), PATH_MAX - 1);
        return FALSE;
    }
    return TRUE;
}

/* A disk on the network is what its name says; there is nothing to be looked at. */
static void
return_network_disk(GTask *task, const char *uri)
{
    GError *error = NULL;
    g_autoptr(DlkDisk) disk = dlk_identify_network(uri, &error);

    if (disk)
        g_task_return_pointer(task, dlk_target_new(disk, -1, -1, NULL), (GDestroyNotify)dlk_target_unref);
    else
        g_task_return_error(task, error);
}

/* Where a volume lies was found: that is what QEMU opens, and what names in its header are relative to. */
static void
note_volume_path(Identification *self, const char *path)
{
    if (dlk_volume_is_uri(self->path) && !self->volume_path)
        self->volume_path = g_strdup(path);
}

/* Asks after self->path in the lane of whatever it may touch. */
static void
look_at_path(GTask *task, DlkMode mode)
{
    DlkEngine *engine = g_task_get_source_object(task);
    Identification *self = g_task_get_task_data(task);
    GError *error = NULL;

    if (dlk_network_is_uri(self->path)) {
        return_network_disk(task, self->path);
    } else if (dlk_volume_is_uri(self->path)) {
        self->lane = g_strdup(VOLUME_LANE);
        self->deadline =
            g_get_monotonic_time() + dlk_policy_match_early(engine->policy, NULL, NULL)->unreachable_after;
        submit(task, -1, mode);
    } else if (!check_path(self->path, &error)) {
        g_task_return_error(task, error);
    } else {
        choose_lane(engine, self);
        submit(task, -1, mode);
    }
}

static void
on_identified(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    DlkEngine *engine = g_task_get_source_object(task);
    Identification *self = g_task_get_task_data(task);
    g_autoptr(GError) error = NULL;
    Output *output = dlk_pool_run_finish(engine->pool, result, &error);

    if (!output) {
        if (g_error_matches(error, DLK_ERROR, DLK_ERROR_UNREACHABLE))
            g_prefix_error(&error, "%s: ", self->named);
        g_task_return_error(task, g_steal_pointer(&error));
        return;
    }
    if (output->target) {
        open_by_rule(engine, output->target);
        g_task_return_pointer(task, g_steal_pointer(&output->target), (GDestroyNotify)dlk_target_unref);
        output_free(output);
        return;
    }

    note_volume_path(self, output->elsewhere);
    g_free(self->path);
    self->path = g_steal_pointer(&output->elsewhere);
    output_free(output);
    if (self->lanes >= MAX_LANES) {
        g_task_return_new_error(task, DLK_ERROR, DLK_ERROR_NOT_A_DISK, "%s: too many links", self->named);
        return;
    }
    look_at_path(task, DLK_MODE_READ_ONLY);
}

/*
 * Root's descriptors wait with everybody else on their filesystem; anybody else's in a lane of his own,
 * because he may have made the filesystem himself, and made it hang.
 */
static char *
lane_of_fd(DlkEngine *engine, int fd, uid_t uid)
{
    if (uid != 0)
        return g_strdup_printf("uid:%u", uid);

    g_autofree char *id = dlk_fd_info(fd, "mnt_id");
    const DlkMount *mount =
        id ? dlk_mounts_by_id(dlk_mount_table_get(engine->mounts), g_ascii_strtoull(id, NULL, 10)) : NULL;
    return mount ? g_strdup(mount->lane) : g_strdup_printf("mount:%s", id ? id : "");
}

DlkTarget *
dlk_identification_peek(DlkEngine *engine, const char *path)
{
    DlkMounts *mounts = dlk_mount_table_get(engine->mounts);
    DlkResolved *left;
    DlkResolved *place = dlk_resolve_cached(path, &left);
    DlkTarget *target = place ? dlk_identify_cached(mounts, place) : NULL;

    if (target) {
        dlk_resolved_free(place);
        open_by_rule(engine, target);
    } else {
        left = left ? left : place;
    }
    if (left) {
        const DlkMount *mount = dlk_mounts_of_path(mounts, path);

        dlk_pool_drop(engine->pool, left, (GDestroyNotify)dlk_resolved_free, mount ? mount->lane : "");
    }
    return target;
}

void
dlk_identification_start(DlkEngine *engine, const char *path, int fd, DlkMode mode, uid_t lane_uid,
                         const char *queue, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(engine, NULL, callback, user_data);
    Identification *self = g_new0(Identification, 1);

    self->queue = g_strdup(queue);
    g_task_set_task_data(task, self, identification_free);
    if (!path) {
        self->named = g_strdup("the disk behind the descriptor");
        self->lane = lane_of_fd(engine, fd, lane_uid);
        self->deadline =
            g_get_monotonic_time() + dlk_policy_match_early(engine->policy, NULL, NULL)->unreachable_after;
        submit(task, fd, mode);
        return;
    }
    self->path = g_strdup(path);
    self->named = dlk_text_printable(path, 0);
    look_at_path(task, mode);
}

char *
dlk_identification_volume_path(GAsyncResult *result)
{
    const Identification *self = g_task_get_task_data(G_TASK(result));

    return g_strdup(self->volume_path);
}

DlkTarget *
dlk_identification_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
