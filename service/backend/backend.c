#include "backend/backend.h"

#include "backend/foreign.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

G_DEFINE_ABSTRACT_TYPE(DlkBackend, dlk_backend, G_TYPE_OBJECT)

static void
dlk_backend_class_init(DlkBackendClass *klass)
{
}

static void
dlk_backend_init(DlkBackend *self)
{
}

void
dlk_foreign_free(DlkForeign *self)
{
    g_free(self->command);
    g_free(self->where);
    g_free(self);
}

const char *
dlk_backend_name(DlkBackend *self)
{
    const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(self);

    return klass->get_name ? klass->get_name(self) : klass->name;
}

gboolean
dlk_backend_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    return DLK_BACKEND_GET_CLASS(self)->probe(self, target, rule, error);
}

/* FALSE with DLK_ERROR_BUSY where somebody without a lease uses the disk in a way that @mode cannot stand
 * beside. */
static gboolean
nobody_in_the_way(const DlkHold *hold, DlkMode mode, GError **error)
{
    g_autoptr(GPtrArray) foreigners = dlk_foreign_find_beside(hold, mode, error);
    if (foreigners == NULL)
        return FALSE;
    const DlkForeign *obstacle = dlk_foreign_obstacle(foreigners, mode, hold->strict);
    if (obstacle == NULL)
        return TRUE;
    g_autofree char *label = dlk_text_printable(dlk_disk_label(hold->target->disk), 0);
    g_autofree char *description = dlk_foreign_describe(obstacle);
    g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s is in use: %s%s; %s", label, description,
                dlk_foreign_is_process(obstacle) ? " and has no lease" : "", dlk_foreign_advise(obstacle));
    return FALSE;
}

static void
record(DlkBackend *self, DlkHold *hold, gboolean stands)
{
    if (DLK_BACKEND_GET_CLASS(self)->record)
        DLK_BACKEND_GET_CLASS(self)->record(self, hold, stands);
}

gboolean
dlk_backend_acquire(DlkBackend *self, DlkHold *hold, const DlkRule *rule, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&hold->mutex);

    if (!hold->rule && rule)
        hold->rule = dlk_rule_ref((DlkRule *)rule);
    if (!DLK_BACKEND_GET_CLASS(self)->acquire(self, hold, rule, error))
        return FALSE;
    if (nobody_in_the_way(hold, hold->mode, error)) {
        record(self, hold, TRUE);
        return TRUE;
    }
    /* The first error is the one that the caller can act on; with the last reference to the hold its
     * descriptor is closed, and the lock gone in any case. */
    (void)DLK_BACKEND_GET_CLASS(self)->release(self, hold, NULL);
    return FALSE;
}

static DlkCheck
storage_gave_no_answer(int errsv, char **reason)
{
    *reason = g_strconcat(DLK_REASON_STORAGE_ERROR, g_strerror(errsv), NULL);
    return DLK_CHECK_UNKNOWN;
}

/*
 * Past what this host has cached, where other hosts may change it: a client of NFS believes its cache for up
 * to a minute (nfs(5), acdirmax=). @name: "" for what @fd is.
 */
static gboolean
ask_status(const DlkDisk *disk, int fd, const char *name, struct statx *status)
{
    const int sync = disk->lock_limit == NULL ? AT_STATX_FORCE_SYNC : AT_STATX_SYNC_AS_STAT;
    const int flags = AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0);
    return statx(fd, name, flags | sync, STATX_INO | STATX_NLINK, status) == 0;
}

static DlkCheck
lost(const char *because, char **reason)
{
    *reason = g_strdup(because);
    return DLK_CHECK_LOST;
}

/* On storage of this host alone: the inode that is held open, whose number is nobody else's as long as it is.
 */
static gboolean
is_known(const DlkDisk *disk, const struct statx *found)
{
    return disk->lock_limit != NULL && found->stx_ino == disk->inode &&
           makedev(found->stx_dev_major, found->stx_dev_minor) == disk->device;
}

/*
 * Both sides are asked afresh: an overlay filesystem may number a file anew when it is first written to.
 * ESTALE for a file whose folder still answers: the server has it no more.
 */
static DlkCheck
check_name(const DlkTarget *target, char **reason)
{
    const DlkDisk *disk = target->disk;
    struct statx folder, ours, found;
    if (target->fd < 0)
        return DLK_CHECK_HELD;
    gboolean is_named = target->folder_fd >= 0 && target->name != NULL;
    /* With the folder's own status the client sees whether the names in it are still what it remembers. */
    if (is_named && disk->lock_limit == NULL && !ask_status(disk, target->folder_fd, "", &folder))
        return storage_gave_no_answer(errno, reason);
    if (is_named && !ask_status(disk, target->folder_fd, target->name, &found)) {
        if (errno != ENOENT)
            return storage_gave_no_answer(errno, reason);
        is_named = FALSE; /* moved away, or deleted */
    }
    if (is_named && is_known(disk, &found))
        return DLK_CHECK_HELD;
    if (!ask_status(disk, target->fd, "", &ours)) {
        if (errno == ESTALE && target->folder_fd >= 0)
            return lost(is_named ? DLK_REASON_REPLACED : DLK_REASON_DELETED, reason);
        return storage_gave_no_answer(errno, reason);
    }
    if (is_named && (found.stx_ino != ours.stx_ino || found.stx_dev_major != ours.stx_dev_major ||
                     found.stx_dev_minor != ours.stx_dev_minor))
        return lost(DLK_REASON_REPLACED, reason);
    return ours.stx_nlink == 0 ? lost(DLK_REASON_DELETED, reason) : DLK_CHECK_HELD;
}

DlkCheck
dlk_backend_check(DlkBackend *self, DlkHold *hold, char **reason)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&hold->mutex);

    *reason = NULL;
    if (hold->target->disk->kind == DLK_KIND_FILE && dlk_hold_takes_look(hold)) {
        const DlkCheck answer = check_name(hold->target, reason);
        if (answer != DLK_CHECK_HELD) {
            dlk_hold_look_at_name(hold); /* again, or the next would call it held */
            return answer;
        }
    }
    return DLK_BACKEND_GET_CLASS(self)->check(self, hold, reason);
}

/* Locking anew would hide that the old lock is gone, and with it that somebody else may have written. */
static gboolean
is_not_lost(DlkBackend *self, DlkHold *hold, GError **error)
{
    g_autofree char *reason = NULL;

    if (DLK_BACKEND_GET_CLASS(self)->check(self, hold, &reason) != DLK_CHECK_LOST)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: %s", dlk_disk_label(hold->target->disk), reason);
    return FALSE;
}

static gboolean
convert(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error)
{
    if (mode != hold->mode && !DLK_BACKEND_GET_CLASS(self)->convert(self, hold, mode, error))
        return FALSE;
    record(self, hold, TRUE);
    return TRUE;
}

gboolean
dlk_backend_convert(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&hold->mutex);

    return is_not_lost(self, hold, error) && nobody_in_the_way(hold, mode, error) &&
           convert(self, hold, mode, error);
}

gboolean
dlk_backend_convert_back(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&hold->mutex);

    return is_not_lost(self, hold, error) && convert(self, hold, mode, error);
}

gboolean
dlk_backend_release(DlkBackend *self, DlkHold *hold, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&hold->mutex);

    record(self, hold, FALSE);
    return DLK_BACKEND_GET_CLASS(self)->release(self, hold, error);
}

/*
 * Who uses the disk without a lease is not asked about: he may have begun under this one, and the lease's
 * process may have handed the disk on to him.
 */
gboolean
dlk_backend_adopt(DlkBackend *self, DlkHold *hold, int fds[DLK_HOLD_PARTS], const DlkRule *rule,
                  GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&hold->mutex);

    if (!hold->rule)
        hold->rule = dlk_rule_ref((DlkRule *)rule);
    const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(self);
    const gboolean adopted =
        klass->adopt ? klass->adopt(self, hold, fds, rule, error) : klass->acquire(self, hold, rule, error);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        dlk_close_fd(&fds[i]);
    if (adopted)
        record(self, hold, TRUE);
    return adopted;
}

gboolean
dlk_backend_holders(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                    GError **error)
{
    const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(self);

    return !klass->holders || klass->holders(self, target, rule, holders, error);
}

gboolean
dlk_backend_fence(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                  guint *removed, GError **error)
{
    const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(self);

    *removed = 0;
    if (klass->fence)
        return klass->fence(self, target, rule, host, removed, error);
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                "%s: the backend %s has no way to remove another host's hold", label, klass->name);
    return FALSE;
}

gboolean
dlk_backend_release_at_once(DlkBackend *self, DlkHold *hold)
{
    /* A record for other hosts is written to the storage. A check in a worker may hang with it. */
    if (!hold->release_never_blocks || (hold->holder && DLK_BACKEND_GET_CLASS(self)->record) ||
        !g_mutex_trylock(&hold->mutex))
        return FALSE;
    gboolean released = DLK_BACKEND_GET_CLASS(self)->release(self, hold, NULL);
    g_mutex_unlock(&hold->mutex);
    return released;
}
