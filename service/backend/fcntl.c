#include "backend/fcntl.h"

#include "backend/image-locks.h"
#include "backend/process-locks.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>

struct _DlkFcntlBackend {
    DlkBackend parent_instance;
};

G_DEFINE_TYPE(DlkFcntlBackend, dlk_fcntl_backend, DLK_TYPE_BACKEND)

#define NO_BYTE G_MAXUINT

static char *
label_of(const DlkTarget *target)
{
    return dlk_text_printable(dlk_disk_label(target->disk), 0);
}

static short
lease_lock(DlkMode mode)
{
    return mode == DLK_MODE_EXCLUSIVE ? F_WRLCK : F_RDLCK;
}

/* Under readers=strict: the byte that a lease in @mode holds beside byte 0. */
static guint
side_byte(DlkMode mode, gboolean strict)
{
    if (!strict || mode == DLK_MODE_EXCLUSIVE)
        return NO_BYTE;
    return mode == DLK_MODE_SHARED ? DLK_BYTE_SHARED_WRITER : DLK_BYTE_STRICT_READER;
}

static int
open_for(const DlkTarget *target, DlkMode mode, GError **error)
{
    /* Opening for writing would copy a file up into an overlay: a reader has no need of it. */
    const int fd = dlk_fd_reopen(target->fd, dlk_mode_writes(mode) ? O_RDWR : O_RDONLY);
    if (fd < 0) {
        const int errsv = errno;
        g_autofree char *label = label_of(target);
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot open %s for %s to lock it", label,
                            dlk_mode_writes(mode) ? "writing" : "reading");
    }
    return fd;
}

/* The process whose lock on @byte keeps out a lock of @type; borrowed from @locks. */
static const DlkProcessLock *
find_holder(GArray *locks, guint byte, short type)
{
    for (guint i = 0; i < locks->len; i++) {
        const DlkProcessLock *lock = &g_array_index(locks, DlkProcessLock, i);
        if (dlk_process_lock_touches(lock, byte, byte) && (lock->write || type == F_WRLCK))
            return lock;
    }
    return NULL;
}

static void
set_busy(GError **error, const DlkTarget *target, int fd, guint byte, short type)
{
    g_autofree char *label = label_of(target);
    g_autofree char *key = dlk_process_locks_key(fd);
    g_autoptr(GArray) locks = dlk_process_locks_find(key != NULL ? key : "");
    g_autoptr(GArray) own = dlk_process_locks_find_own(key != NULL ? key : "", fd);
    const DlkProcessLock *holder = find_holder(locks, byte, type);
    if (holder != NULL) {
        g_autofree char *command = dlk_text_printable(holder->command, 0);
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY,
                    "%s is locked by %s (pid %d), which is not a lease of this service; release it there, or "
                    "wait for it",
                    label, command[0] != '\0' ? command : "a process", (int)holder->pid);
    } else if (find_holder(own, byte, type) != NULL) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s is still locked by another lease of this service",
                    label);
    } else {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY,
                    "%s is locked by another host or a process that cannot be seen from here; release it "
                    "there, or wait for it",
                    label);
    }
}

static gboolean
lock_byte(const DlkTarget *target, int fd, guint byte, short type, GError **error)
{
    if (dlk_image_locks_set(fd, byte, type))
        return TRUE;
    const int errsv = errno;
    if (errsv == EAGAIN) {
        set_busy(error, target, fd, byte, type);
        return FALSE;
    }
    g_autofree char *label = label_of(target);
    return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot lock %s", label);
}

/* Takes first and asks after; on failure the byte is free again. */
static gboolean
lock_side_byte(const DlkTarget *target, int fd, guint byte, GError **error)
{
    if (byte == NO_BYTE)
        return TRUE;
    const guint other = byte == DLK_BYTE_SHARED_WRITER ? DLK_BYTE_STRICT_READER : DLK_BYTE_SHARED_WRITER;
    if (!lock_byte(target, fd, byte, F_RDLCK, error))
        return FALSE;
    const DlkByteState state = dlk_image_locks_ask(fd, other, other, NULL);
    if (state == DLK_BYTE_FREE)
        return TRUE;
    if (state == DLK_BYTE_UNKNOWN) {
        const int errsv = errno;
        g_autofree char *label = label_of(target);
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot ask who has locked %s", label);
    } else {
        set_busy(error, target, fd, other, F_WRLCK);
    }
    (void)dlk_image_locks_set(fd, byte, F_UNLCK);
    return FALSE;
}

static gboolean
fcntl_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    g_autofree char *label = label_of(target);
    if (rule->open_as != NULL) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                    "%s: the policy's rule \"%s\" has open-as=, and this version opens disks as itself only",
                    label, rule->name);
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

static gboolean
fcntl_acquire(DlkBackend *self, DlkHold *hold, const DlkRule *rule, GError **error)
{
    dlk_autofd fd = open_for(hold->target, hold->mode, error);
    if (fd < 0 || !lock_byte(hold->target, fd, DLK_BYTE_LEASE, lease_lock(hold->mode), error) ||
        !lock_side_byte(hold->target, fd, side_byte(hold->mode, hold->strict), error))
        return FALSE; /* nobody has a copy of the descriptor yet: closing it unlocks */
    return dlk_hold_adopt_fd(hold, g_steal_fd(&fd), error);
}

/*
 * Asked, never locked again: that would hide the loss. An error is no loss: it may be the lock manager that
 * is away (ENOLCK) or the server (EIO, ESTALE), and the lock may still stand when they are back.
 */
static DlkCheck
fcntl_check(DlkBackend *self, DlkHold *hold, char **reason)
{
    if (hold->fd < 0) {
        *reason = g_strdup(DLK_REASON_NOT_LOCKED);
        return DLK_CHECK_LOST;
    }
    const DlkByteState state = hold->mode == DLK_MODE_EXCLUSIVE
                                   ? dlk_image_locks_ask(hold->fd, DLK_BYTE_LEASE, DLK_BYTE_LEASE, NULL)
                                   : dlk_image_locks_ask_for_writer(hold->fd, DLK_BYTE_LEASE, NULL);
    if (state == DLK_BYTE_FREE)
        return DLK_CHECK_HELD;
    if (state == DLK_BYTE_UNKNOWN) {
        *reason = g_strconcat(DLK_REASON_STORAGE_ERROR, g_strerror(errno), NULL);
        return DLK_CHECK_UNKNOWN;
    }
    *reason = g_strdup(DLK_REASON_LOCK_TAKEN);
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
    const guint byte = side_byte(hold->mode, hold->strict);
    dlk_autofd fd = open_for(hold->target, DLK_MODE_EXCLUSIVE, error);
    if (fd < 0 || !lock_byte(hold->target, fd, DLK_BYTE_LEASE, F_RDLCK, error) ||
        !lock_side_byte(hold->target, fd, byte, error))
        return FALSE;
    dlk_autofd old = fcntl(hold->fd, F_DUPFD_CLOEXEC, 0);
    if (old < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot keep the lock");
    if (!dlk_hold_adopt_fd(hold, g_steal_fd(&fd), error))
        return FALSE;
    (void)dlk_image_locks_clear(old);
    return TRUE;
}

/* Changing the type of a lock is one step for the kernel: there is no moment at which nobody has it. */
static gboolean
fcntl_convert(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error)
{
    const guint old_byte = side_byte(hold->mode, hold->strict);
    const guint new_byte = side_byte(mode, hold->strict);
    if (dlk_mode_writes(mode) && !make_writable(hold, error))
        return FALSE;
    if (!lock_side_byte(hold->target, hold->fd, new_byte, error))
        return FALSE;
    if (!lock_byte(hold->target, hold->fd, DLK_BYTE_LEASE, lease_lock(mode), error)) {
        if (new_byte != NO_BYTE)
            (void)dlk_image_locks_set(hold->fd, new_byte, F_UNLCK);
        return FALSE;
    }
    if (old_byte != NO_BYTE)
        (void)dlk_image_locks_set(hold->fd, old_byte, F_UNLCK);
    hold->mode = mode;
    return TRUE;
}

static gboolean
fcntl_release(DlkBackend *self, DlkHold *hold, GError **error)
{
    if (hold->fd >= 0 && !dlk_image_locks_clear(hold->fd)) {
        const int errsv = errno;
        g_autofree char *label = label_of(hold->target);
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot unlock %s", label);
    }
    hold->fd = -1; /* it is the target's now, without a lock */
    return TRUE;
}

static void
dlk_fcntl_backend_class_init(DlkFcntlBackendClass *klass)
{
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->name = "fcntl";
    backend->reaches_other_hosts = TRUE;
    backend->probe = fcntl_probe;
    backend->acquire = fcntl_acquire;
    backend->check = fcntl_check;
    backend->convert = fcntl_convert;
    backend->release = fcntl_release;
}

static void
dlk_fcntl_backend_init(DlkFcntlBackend *self)
{
}
