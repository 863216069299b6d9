#include "core/leftover.h"

#include "backend/image-locks.h"
#include "base/error.h"
#include "base/fd.h"
#include "host/block-identity.h"
#include "model/network-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NO_ANSWER "the storage has not answered since a restart"
#define LATE_CLOSE_STEP_US (50 * 1000)

DlkLeftover *
dlk_leftover_new(DlkBackend *backend, DlkDisk *disk, DlkRule *rule)
{
    DlkLeftover *self = g_atomic_rc_box_new0(DlkLeftover);

    self->backend = backend ? g_object_ref(backend) : NULL;
    self->disk = dlk_disk_ref(disk);
    self->rule = dlk_rule_ref(rule);
    g_mutex_init(&self->mutex);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        self->fds[i] = self->old_fds[i] = -1;
    return self;
}

DlkLeftover *
dlk_leftover_ref(DlkLeftover *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
clear(gpointer data)
{
    DlkLeftover *self = data;

    g_clear_pointer(&self->found, dlk_hold_unref);
    g_mutex_clear(&self->mutex);
    g_clear_object(&self->backend);
    dlk_disk_unref(self->disk);
    dlk_rule_unref(self->rule);
    g_clear_pointer(&self->mounts, dlk_mounts_unref);
    g_clear_pointer(&self->holder, dlk_holder_unref);
    g_free(self->path);
    g_free(self->lane);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        dlk_close_fd(&self->fds[i]);
        dlk_close_fd(&self->old_fds[i]);
    }
}

void
dlk_leftover_unref(DlkLeftover *self)
{
    g_atomic_rc_box_release_full(self, clear);
}

/* ---- the disk ---- */

static DlkTarget *
set_answer(DlkRevived *revived, DlkCheck answer, const char *reason)
{
    revived->answer = answer;
    revived->reason = reason;
    return NULL;
}

/* The very file, by the descriptor that carried its lock: it may have been moved away, or deleted. */
static DlkTarget *
find_by_fd(const DlkLeftover *self, DlkRevived *revived)
{
    struct stat status;

    for (guint i = 0; i < DLK_HOLD_PARTS && self->disk->kind == DLK_KIND_FILE; i++) {
        if (self->fds[i] < 0)
            continue;
        if (fstat(self->fds[i], &status) < 0)
            return set_answer(revived, DLK_CHECK_UNKNOWN, DLK_REASON_STORAGE_ERROR);
        g_autofree char *id = dlk_file_identity(status.st_dev, status.st_ino);
        if (!g_str_equal(id, self->disk->id))
            continue;
        if (status.st_nlink == 0)
            return set_answer(revived, DLK_CHECK_LOST, DLK_REASON_DELETED);
        const int fd = dlk_fd_reopen(self->fds[i], O_PATH);
        return fd >= 0 ? dlk_target_new(self->disk, fd, -1, NULL)
                       : set_answer(revived, DLK_CHECK_UNKNOWN, DLK_REASON_STORAGE_ERROR);
    }
    return set_answer(revived, DLK_CHECK_LOST, self->path ? DLK_REASON_DELETED : DLK_REASON_NOT_TAKEN_AGAIN);
}

static DlkTarget *
identify(const DlkLeftover *self, GError **error)
{
    g_autofree char *elsewhere = NULL;

    if (self->disk->kind != DLK_KIND_NETWORK)
        return dlk_identify_path(self->mounts, self->path, self->lane, &elsewhere, error);
    g_autoptr(DlkDisk) disk = dlk_identify_network(self->path, error);
    return disk ? dlk_target_new(disk, -1, -1, NULL) : NULL;
}

static DlkTarget *
find_disk(const DlkLeftover *self, DlkRevived *revived)
{
    g_autoptr(GError) error = NULL;

    if (!self->path)
        return find_by_fd(self, revived);
    g_autoptr(DlkTarget) found = identify(self, &error);
    if (found && g_str_equal(found->disk->id, self->disk->id))
        return g_steal_pointer(&found);
    if (found)
        return set_answer(revived, DLK_CHECK_LOST, DLK_REASON_REPLACED);
    if (!error || g_error_matches(error, DLK_ERROR, DLK_ERROR_NOT_A_DISK))
        return find_by_fd(self, revived);
    revived->text = g_strdup(error->message);
    return set_answer(revived, DLK_CHECK_UNKNOWN, NO_ANSWER);
}

/* ---- its lock ---- */

/* Copies: whoever has the leftover may have to do this again. One that cannot be made is not one that is not
 * there. */
static gboolean
copy_fds(const DlkLeftover *self, int fds[DLK_HOLD_PARTS], GError **error)
{
    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        fds[i] = self->fds[i] >= 0 ? fcntl(self->fds[i], F_DUPFD_CLOEXEC, 0) : -1;
        if (fds[i] >= 0 || self->fds[i] < 0)
            continue;
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot copy the descriptor of the lock");
        while (i-- > 0)
            dlk_close_fd(&fds[i]);
        return FALSE;
    }
    return TRUE;
}

static DlkHold *
adopt_in_mode(const DlkLeftover *self, DlkTarget *target, DlkMode mode, GError **error)
{
    g_autoptr(DlkHold) hold = dlk_hold_new(self->backend, target, mode, self->strict, self->pid);
    int fds[DLK_HOLD_PARTS];

    dlk_hold_set_holder(hold, self->holder);
    if (self->suspended) {
        hold->rule = dlk_rule_ref(self->rule);
        return g_steal_pointer(&hold);
    }
    if (!copy_fds(self, fds, error))
        return NULL;
    return dlk_backend_adopt(self->backend, hold, fds, self->rule, error) ? g_steal_pointer(&hold) : NULL;
}

static gboolean
is_taken(const GError *error)
{
    return g_error_matches(error, DLK_ERROR, DLK_ERROR_BUSY);
}

/* The earlier run may have ended when the lock had the other mode already, and others have gone by that. */
static DlkHold *
adopt_in_either_mode(const DlkLeftover *self, DlkTarget *target, GError **error)
{
    g_autoptr(GError) problem = NULL;
    DlkHold *hold = adopt_in_mode(self, target, self->mode, &problem);

    if (hold)
        return hold;
    if (is_taken(problem) && self->other_mode != self->mode)
        return adopt_in_mode(self, target, self->other_mode, error);
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

static DlkHold *
adopt(const DlkLeftover *self, DlkTarget *target, DlkRevived *revived)
{
    g_autoptr(GError) error = NULL;
    DlkHold *hold = adopt_in_either_mode(self, target, &error);

    while (!hold && is_taken(error) && g_get_monotonic_time() < self->late_close_until) {
        g_usleep(LATE_CLOSE_STEP_US);
        g_clear_error(&error);
        hold = adopt_in_either_mode(self, target, &error);
    }
    if (hold)
        return hold;
    revived->text = g_strdup(error->message);
    if (is_taken(error))
        set_answer(revived, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    else if (g_error_matches(error, DLK_ERROR, DLK_ERROR_LEASE_LOST))
        set_answer(revived, DLK_CHECK_LOST, DLK_REASON_NOT_LOCKED);
    else
        set_answer(revived, DLK_CHECK_UNKNOWN, DLK_REASON_NOT_TAKEN_AGAIN);
    return NULL;
}

/* What gives a lock up says so before it does it: the earlier run may have ended in between. */
static void
drop_old(DlkLeftover *self)
{
    for (guint i = 0; i < DLK_HOLD_PARTS; i++) {
        if (self->old_fds[i] >= 0)
            (void)dlk_image_locks_clear(self->old_fds[i]);
        if (self->suspended && self->fds[i] >= 0)
            (void)dlk_image_locks_clear(self->fds[i]);
    }
}

static void
look(DlkLeftover *self, DlkRevived *revived)
{
    g_autoptr(DlkTarget) target = find_disk(self, revived);
    if (target)
        dlk_target_set_open_as(target, self->rule->open_as);
    self->found = target ? adopt(self, target, revived) : NULL;
    if (self->found)
        drop_old(self);
}

void
dlk_leftover_revive(DlkLeftover *self, DlkFolderWatchJob *folder_watch, DlkRevived *revived)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&self->mutex);

    *revived = (DlkRevived){.answer = DLK_CHECK_HELD, .folder_watch = -1};
    if (!self->found && !self->over)
        look(self, revived);
    if (self->over)
        revived->answer = DLK_CHECK_UNKNOWN;
    if (self->over || !self->found)
        return;
    /* Before the look at the name, and anew each time: one that no lease came of is taken away. */
    const int watch = folder_watch ? dlk_folder_watch_add(folder_watch, self->found->target) : -1;
    if (!self->suspended)
        revived->answer = dlk_backend_check(self->backend, self->found, &revived->text);
    revived->reason = revived->text;
    revived->kept = self->fds[0] >= 0;
    if (revived->answer != DLK_CHECK_HELD)
        return;
    revived->hold = dlk_hold_ref(self->found);
    revived->folder_watch = watch;
}

void
dlk_revived_clear(DlkRevived *revived)
{
    g_clear_pointer(&revived->hold, dlk_hold_unref);
    g_clear_pointer(&revived->text, g_free);
}

/* ---- in the place of the hold ---- */

#define DLK_TYPE_LEFTOVER_BACKEND dlk_leftover_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkLeftoverBackend, dlk_leftover_backend, DLK, LEFTOVER_BACKEND, DlkBackend)
struct _DlkLeftoverBackend {
    DlkBackend parent_instance;
};
G_DEFINE_TYPE(DlkLeftoverBackend, dlk_leftover_backend, DLK_TYPE_BACKEND)

static DlkCheck
leftover_check(DlkBackend *backend, DlkHold *hold, char **reason)
{
    *reason = g_strdup(NO_ANSWER);
    return DLK_CHECK_UNKNOWN;
}

static gboolean
leftover_release(DlkBackend *backend, DlkHold *hold, GError **error)
{
    DlkLeftover *self = hold->state;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&self->mutex);
    DlkRevived revived = {.answer = DLK_CHECK_HELD, .folder_watch = -1};

    self->over = TRUE;
    if (!self->found && self->backend)
        look(self, &revived);
    /* What is lost may have left something all the same: a registration without its reservation, say. */
    if (self->found)
        (void)dlk_backend_release(self->found->backend, self->found, NULL);
    dlk_revived_clear(&revived);
    /* In any case: the store may have copies. */
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        if (self->fds[i] >= 0)
            (void)dlk_image_locks_clear(self->fds[i]);
    drop_old(self);
    return TRUE;
}

static void
dlk_leftover_backend_class_init(DlkLeftoverBackendClass *klass)
{
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->name = "leftover";
    backend->check = leftover_check;
    backend->release = leftover_release;
}

static void
dlk_leftover_backend_init(DlkLeftoverBackend *self)
{
}

DlkHold *
dlk_leftover_hold(DlkLeftover *self)
{
    g_autoptr(DlkBackend) backend = g_object_new(DLK_TYPE_LEFTOVER_BACKEND, NULL);
    g_autoptr(DlkTarget) target = dlk_target_new(self->disk, -1, -1, NULL);
    DlkHold *hold = dlk_hold_new(backend, target, self->mode, self->strict, self->pid);

    dlk_hold_set_state(hold, dlk_leftover_ref(self), (GDestroyNotify)dlk_leftover_unref);
    return hold;
}
