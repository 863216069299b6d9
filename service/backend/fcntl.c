#include "backend/fcntl.h"

#include "backend/fcntl-parts.h"
#include "backend/image-locks.h"
#include "backend/lease-locks.h"
#include "backend/shared-locks.h"
#include "base/as-user.h"
#include "base/error.h"
#include "base/filesystem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct _DlkFcntlBackend {
    DlkBackend parent_instance;
};

G_DEFINE_TYPE(DlkFcntlBackend, dlk_fcntl_backend, DLK_TYPE_BACKEND)

static char *
label_of(const DlkTarget *target)
{
    return dlk_text_printable(dlk_disk_label(target->disk), 0);
}

static int
open_for(const DlkTarget *target, DlkMode mode, GError **error)
{
    /* Opening for writing would copy a file up into an overlay: a reader has no need of it. */
    const int fd = dlk_target_open(target, dlk_mode_writes(mode) ? O_RDWR : O_RDONLY);
    if (fd < 0) {
        const int errsv = errno;
        g_autofree char *label = label_of(target);
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot open %s for %s%s%s to lock it",
                            label, dlk_mode_writes(mode) ? "writing" : "reading",
                            target->open_as != NULL ? " as " : "",
                            target->open_as != NULL ? target->open_as : "");
    }
    return fd;
}

static gboolean
fcntl_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    g_autofree char *label = label_of(target);
    if (target->open_as != NULL && !dlk_as_user_is_known(target->open_as)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                    "%s: the policy's rule \"%s\" says open-as=%s, and this host knows no such user", label,
                    rule->name, target->open_as);
        return FALSE;
    }
    if (target->disk->kind == DLK_KIND_FILE)
        return TRUE;
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
        "%s is a %s disk, and the backend fcntl locks regular files only: a lock on a device node reaches "
        "no other host and not even another node of the device",
        label, dlk_kind_to_string(target->disk->kind));
    return FALSE;
}

static char *
fcntl_reach_limit(DlkBackend *self, const DlkTarget *target, const DlkRule *rule)
{
    return g_strdup(target->disk->lock_limit);
}

static char *
fcntl_unseen_loss(DlkBackend *self, const DlkTarget *target, const DlkRule *rule)
{
    const DlkDisk *disk = target->disk;
    return disk->lock_limit == NULL && disk->filesystem != NULL
               ? dlk_shared_locks_unseen_loss(disk->filesystem)
               : NULL;
}

static gboolean
take(const DlkHold *hold, int fd, const char *label, GError **error)
{
    return dlk_shared_locks_are_mandatory(hold->target->disk)
               ? dlk_lease_locks_take_mandatory(fd, label, hold->mode, error)
               : dlk_lease_locks_take(fd, label, hold->mode, hold->strict, error);
}

static gboolean
fcntl_acquire(DlkBackend *self, DlkHold *hold, const DlkRule *rule, GError **error)
{
    g_autofree char *label = label_of(hold->target);
    if (!dlk_shared_locks_keep_apart(hold->target->disk->filesystem, hold->mode, hold->strict, label, NULL,
                                     error))
        return FALSE;
    dlk_autofd fd = open_for(hold->target, hold->mode, error);
    if (fd < 0 || !take(hold, fd, label, error))
        return FALSE; /* nobody has a copy of the descriptor yet: closing it unlocks */
    hold->release_never_blocks = dlk_filesystem_is_local(dlk_filesystem_of_fd(fd));
    return dlk_hold_adopt_fd(hold, g_steal_fd(&fd), error);
}

static DlkCheck
fcntl_check(DlkBackend *self, DlkHold *hold, char **reason)
{
    const DlkTarget *target = hold->target;
    if (hold->fd >= 0 && dlk_shared_locks_are_mandatory(target->disk))
        return dlk_lease_locks_check_mandatory(hold->fd, target->open_as, reason);
    if (hold->fd >= 0)
        return target->disk->lock_limit == NULL
                   ? dlk_lease_locks_check_shared(hold->fd, target->open_as, hold->mode, reason)
                   : dlk_lease_locks_check(hold->fd, hold->mode, reason);
    *reason = g_strdup(DLK_REASON_NOT_LOCKED);
    return DLK_CHECK_LOST;
}

/*
 * A reader's descriptor cannot carry a write lock: the same lock is taken by one that can, beside the old
 * one, which is then given up. The mode is still read-only after that.
 */
static gboolean
make_writable(DlkHold *hold, GError **error)
{
    const int flags = fcntl(hold->fd, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_RDWR)
        return TRUE;
    g_autofree char *label = label_of(hold->target);
    dlk_autofd fd = open_for(hold->target, DLK_MODE_EXCLUSIVE, error);
    if (fd < 0 || !take(hold, fd, label, error))
        return FALSE;
    dlk_autofd old = fcntl(hold->fd, F_DUPFD_CLOEXEC, 0);
    if (old < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot keep the lock");
    /* Where a copy is kept over the end of this process, the old lock must not go before the new one is. */
    if (!dlk_hold_keep_spare(hold, fd, error) || !dlk_hold_adopt_fd(hold, g_steal_fd(&fd), error))
        return FALSE;
    /* A copy that the store has keeps it, and then it would be our own lock that is in the new one's way. */
    if (!dlk_image_locks_clear(old))
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                   "cannot give up the reader's lock");
    return TRUE;
}

/* Readers and writers that share have the same lock, and it stays as it is. */
static gboolean
convert_mandatory(DlkHold *hold, DlkMode mode, const char *label, GError **error)
{
    if (hold->mode == DLK_MODE_EXCLUSIVE || mode == DLK_MODE_EXCLUSIVE) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                    "%s: on CIFS a lease cannot become exclusive, or cease to be, without a moment in which "
                    "nobody has "
                    "the disk: release it, and acquire it anew",
                    label);
        return FALSE;
    }
    if (dlk_mode_writes(mode) && !make_writable(hold, error))
        return FALSE;
    hold->mode = mode;
    return TRUE;
}

static gboolean
fcntl_convert(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error)
{
    g_autofree char *label = label_of(hold->target);
    if (!dlk_shared_locks_keep_apart(hold->target->disk->filesystem, mode, hold->strict, label, NULL, error))
        return FALSE;
    if (dlk_shared_locks_are_mandatory(hold->target->disk))
        return mode == hold->mode || convert_mandatory(hold, mode, label, error);
    if (dlk_mode_writes(mode) && !make_writable(hold, error))
        return FALSE;
    if (!dlk_lease_locks_change(hold->fd, label, hold->mode, mode, hold->strict, error))
        return FALSE;
    hold->mode = mode;
    return TRUE;
}

/* With its last descriptor a lock goes too. The target keeps one that locks nothing. */
static gboolean
close_locked(DlkHold *hold)
{
    dlk_autofd fd = dlk_fd_reopen(hold->fd, O_PATH);
    return fd >= 0 && dup3(fd, hold->fd, O_CLOEXEC) >= 0;
}

static gboolean
fcntl_release(DlkBackend *self, DlkHold *hold, GError **error)
{
    gboolean unlocked = TRUE;
    if (hold->fd >= 0 && !dlk_image_locks_clear(hold->fd)) {
        const int errsv = errno;
        g_autofree char *label = label_of(hold->target);
        unlocked = dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot unlock %s", label);
        if (!close_locked(hold))
            return FALSE;
    }
    hold->fd = -1; /* it is the target's now, without a lock */
    return unlocked;
}

static gboolean
set_lost(const DlkHold *hold, const char *reason, GError **error)
{
    g_autofree char *label = label_of(hold->target);

    g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: %s", label, reason);
    return FALSE;
}

/* A storage that does not say is not one that says no. */
static gboolean
find_same_file(const DlkHold *hold, int fd, GError **error)
{
    struct stat a, b;

    if (fstat(fd, &a) < 0 || fstat(hold->target->fd, &b) < 0) {
        const int errsv = errno;
        g_autofree char *label = label_of(hold->target);
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot look at %s", label);
    }
    return (a.st_dev == b.st_dev && a.st_ino == b.st_ino) || set_lost(hold, DLK_REASON_REPLACED, error);
}

/* Locks that are mandatory cannot be converted, and so are what the mode says; to ask for them again would be
 * refused. */
static gboolean
adopt_locks(const DlkHold *hold, int fd, const char *label, GError **error)
{
    g_autofree char *reason = NULL;
    if (!dlk_shared_locks_are_mandatory(hold->target->disk))
        return dlk_lease_locks_adopt(fd, hold->target->open_as, label, hold->mode, hold->strict, error);
    const DlkCheck answer = dlk_lease_locks_check_mandatory(fd, hold->target->open_as, &reason);
    if (answer == DLK_CHECK_UNKNOWN)
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s: %s", label, reason);
    return answer == DLK_CHECK_HELD || (answer == DLK_CHECK_LOST && set_lost(hold, reason, error));
}

/*
 * The lock may be more, or less, than the mode says, where the earlier run was ended in the midst of a
 * conversion: it is set to what the mode needs, in one step.
 */
static gboolean
fcntl_adopt(DlkBackend *self, DlkHold *hold, int *fds, const DlkRule *rule, GError **error)
{
    if (fds[0] < 0)
        return fcntl_acquire(self, hold, rule, error);
    if (!find_same_file(hold, fds[0], error))
        return FALSE;
    g_autofree char *label = label_of(hold->target);
    if (!adopt_locks(hold, fds[0], label, error))
        return FALSE;
    hold->release_never_blocks = dlk_filesystem_is_local(dlk_filesystem_of_fd(fds[0]));
    return dlk_hold_adopt_fd(hold, g_steal_fd(&fds[0]), error);
}

static void
dlk_fcntl_backend_class_init(DlkFcntlBackendClass *klass)
{
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->name = "fcntl";
    backend->reaches_other_hosts = TRUE;
    backend->reach_limit = fcntl_reach_limit;
    backend->unseen_loss = fcntl_unseen_loss;
    backend->probe = fcntl_probe;
    backend->acquire = fcntl_acquire;
    backend->check = fcntl_check;
    backend->convert = fcntl_convert;
    backend->release = fcntl_release;
    backend->record = dlk_fcntl_record;
    backend->adopt = fcntl_adopt;
    backend->holders = dlk_fcntl_holders;
    backend->fence = dlk_fcntl_fence;
}

static void
dlk_fcntl_backend_init(DlkFcntlBackend *self)
{
}
