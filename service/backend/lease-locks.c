#include "backend/lease-locks.h"

#include "backend/image-locks.h"
#include "backend/process-locks.h"
#include "backend/read-through.h"
#include "base/as-user.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>

#define NO_BYTE G_MAXUINT

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

/* The process whose lock on @byte keeps out a lock of @type; borrowed from @locks. */
static const DlkProcessLock *
find_holder(GArray *locks, guint64 byte, short type)
{
    for (guint i = 0; i < locks->len; i++) {
        const DlkProcessLock *lock = &g_array_index(locks, DlkProcessLock, i);
        if (dlk_process_lock_touches(lock, byte, byte) && (lock->write || type == F_WRLCK))
            return lock;
    }
    return NULL;
}

static void
set_busy(GError **error, int fd, const char *label, guint64 byte, short type)
{
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
lock_byte(int fd, const char *label, guint64 byte, short type, GError **error)
{
    if (dlk_image_locks_set(fd, byte, type))
        return TRUE;
    const int errsv = errno;
    if (errsv != EAGAIN)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot lock %s", label);
    set_busy(error, fd, label, byte, type);
    return FALSE;
}

/* Takes first and asks after; on failure the byte is free again. */
static gboolean
lock_side_byte(int fd, const char *label, guint byte, GError **error)
{
    if (byte == NO_BYTE)
        return TRUE;
    const guint other = byte == DLK_BYTE_SHARED_WRITER ? DLK_BYTE_STRICT_READER : DLK_BYTE_SHARED_WRITER;
    if (!lock_byte(fd, label, byte, F_RDLCK, error))
        return FALSE;
    const DlkByteState state = dlk_image_locks_ask(fd, other, other, NULL);
    if (state == DLK_BYTE_FREE)
        return TRUE;
    if (state == DLK_BYTE_UNKNOWN)
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot ask who has locked %s", label);
    else
        set_busy(error, fd, label, other, F_WRLCK);
    (void)dlk_image_locks_set(fd, byte, F_UNLCK);
    return FALSE;
}

gboolean
dlk_lease_locks_take(int fd, const char *label, DlkMode mode, gboolean strict, GError **error)
{
    return lock_byte(fd, label, DLK_BYTE_LEASE, lease_lock(mode), error) &&
           lock_side_byte(fd, label, side_byte(mode, strict), error);
}

/*
 * The kernel never says what one holds oneself, so that a second open file description is asked: where that
 * meets nobody, the lock is gone. That somebody else has taken it meanwhile shows when it is set.
 */
static gboolean
is_locked(int fd, const char *open_as, const char *label, GError **error)
{
    dlk_autofd other = dlk_as_user_reopen(open_as, fd, O_RDONLY);
    const DlkByteState state =
        other >= 0 ? dlk_image_locks_ask(other, DLK_BYTE_LEASE, DLK_BYTE_LEASE, NULL) : DLK_BYTE_UNKNOWN;

    if (state == DLK_BYTE_UNKNOWN)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot ask who has locked %s",
                                   label);
    if (state == DLK_BYTE_FREE)
        g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: " DLK_REASON_NOT_LOCKED, label);
    return state != DLK_BYTE_FREE;
}

gboolean
dlk_lease_locks_adopt(int fd, const char *open_as, const char *label, DlkMode mode, gboolean strict,
                      GError **error)
{
    const guint byte = side_byte(mode, strict);
    if (!is_locked(fd, open_as, label, error) || !dlk_lease_locks_take(fd, label, mode, strict, error))
        return FALSE;
    for (guint other = DLK_BYTE_SHARED_WRITER; other <= DLK_BYTE_STRICT_READER; other++)
        if (strict && other != byte)
            (void)dlk_image_locks_set(fd, other, F_UNLCK);
    return TRUE;
}

/*
 * An error does not say that the server has not changed the lock, where its answer was lost (a mount with
 * "soft"): a weaker one would let others in. So the old type is asked for once more; whoever has come in
 * between refuses that, and then the lease is lost.
 */
static void
restore_lease_lock(int fd, const char *label, DlkMode mode, GError **error)
{
    if (g_error_matches(*error, DLK_ERROR, DLK_ERROR_BUSY) ||
        dlk_image_locks_set(fd, DLK_BYTE_LEASE, lease_lock(mode)) || errno != EAGAIN)
        return;
    g_clear_error(error);
    g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: " DLK_REASON_LOCK_TAKEN, label);
}

/* Changing the type of a lock is one step for the kernel: there is no moment at which nobody has it. */
gboolean
dlk_lease_locks_change(int fd, const char *label, DlkMode from, DlkMode to, gboolean strict, GError **error)
{
    const guint old_byte = side_byte(from, strict);
    const guint new_byte = side_byte(to, strict);
    if (!lock_side_byte(fd, label, new_byte, error))
        return FALSE;
    g_autoptr(GError) failure = NULL;
    if (!lock_byte(fd, label, DLK_BYTE_LEASE, lease_lock(to), &failure)) {
        restore_lease_lock(fd, label, from, &failure);
        g_propagate_error(error, g_steal_pointer(&failure));
        if (new_byte != NO_BYTE)
            (void)dlk_image_locks_set(fd, new_byte, F_UNLCK);
        return FALSE;
    }
    if (old_byte != NO_BYTE)
        (void)dlk_image_locks_set(fd, old_byte, F_UNLCK);
    return TRUE;
}

static DlkCheck
answer_of(DlkByteState state, const char *loss, char **reason)
{
    if (state == DLK_BYTE_FREE)
        return DLK_CHECK_HELD;
    if (state == DLK_BYTE_UNKNOWN) {
        *reason = g_strconcat(DLK_REASON_STORAGE_ERROR, g_strerror(errno), NULL);
        return DLK_CHECK_UNKNOWN;
    }
    *reason = g_strdup(loss);
    return DLK_CHECK_LOST;
}

DlkCheck
dlk_lease_locks_check(int fd, DlkMode mode, char **reason)
{
    const DlkByteState state = mode == DLK_MODE_EXCLUSIVE
                                   ? dlk_image_locks_ask(fd, DLK_BYTE_LEASE, DLK_BYTE_LEASE, NULL)
                                   : dlk_image_locks_ask_for_writer(fd, DLK_BYTE_LEASE, DLK_BYTE_LEASE, NULL);
    return answer_of(state, DLK_REASON_LOCK_TAKEN, reason);
}

/* The lock's own descriptor gives EIO, another of the same file does not: it is no fault of the storage. */
static gboolean
is_cut_off(int fd, const char *open_as)
{
    dlk_autofd other = dlk_as_user_reopen(open_as, fd, O_RDONLY);
    return other >= 0 && dlk_read_through(other) == 0 && dlk_read_through(fd) == EIO;
}

DlkCheck
dlk_lease_locks_check_shared(int fd, const char *open_as, DlkMode mode, char **reason)
{
    const int failure = dlk_read_through(fd);
    const gboolean is_lost = failure == EIO && is_cut_off(fd, open_as);
    /* Asked after, even so: a client that has just been told of its loss asks the server who has it now. */
    const DlkCheck answer = dlk_lease_locks_check(fd, mode, reason);
    if (answer != DLK_CHECK_HELD || failure == 0)
        return answer;
    *reason = is_lost ? g_strdup(DLK_REASON_LOCK_REVOKED)
                      : g_strconcat(DLK_REASON_STORAGE_ERROR, g_strerror(failure), NULL);
    return is_lost ? DLK_CHECK_LOST : DLK_CHECK_UNKNOWN;
}

gboolean
dlk_lease_locks_take_mandatory(int fd, const char *label, DlkMode mode, GError **error)
{
    return lock_byte(fd, label, DLK_BYTES_BEYOND + DLK_BYTE_LEASE, lease_lock(mode), error);
}

/*
 * To ask is to lock for reading, which whoever has it may, and to unlock. That takes away a lock of the very
 * same bytes: with one more byte it is not ours. For writing it would be refused by our own. Whatever there
 * is but a yes is said to be somebody's lock: that the server has ended our session, and knows the descriptor
 * no more, and that it is away, too. Only one that is there opens the file once more.
 */
DlkCheck
dlk_lease_locks_check_mandatory(int fd, const char *open_as, char **reason)
{
    const guint64 first = DLK_BYTES_BEYOND + DLK_BYTE_LEASE;
    DlkByteState state = dlk_image_locks_ask_for_writer(fd, first, first + 1, NULL);
    dlk_autofd other = state == DLK_BYTE_FREE ? -1 : dlk_as_user_reopen(open_as, fd, O_RDONLY);
    if (state != DLK_BYTE_FREE && other < 0)
        state = DLK_BYTE_UNKNOWN;
    return answer_of(state, DLK_REASON_LOCK_REVOKED, reason);
}
