#include "backend/foreign.h"

#include "backend/foreign-block.h"
#include "backend/image-locks.h"
#include "backend/process-locks.h"
#include "backend/shared-locks.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Which bytes are looked at. */
typedef enum {
    LOOK_AT_QEMU = 1 << 0,
    LOOK_AT_LEASES = 1 << 1, /* virtlockd, and services like this one on other hosts */
} Look;

/* Byte 0, read-locked: shared writers, unless the holder is a reader that says on its own byte that it
 * tolerates none. */
static void
describe_lease(DlkForeign *foreign, gboolean write_locked, gboolean strict_reader)
{
    foreign->writes = foreign->writes || write_locked || !strict_reader;
    foreign->alone = foreign->alone || write_locked || strict_reader;
}

static void
describe_lock(DlkForeign *foreign, const DlkProcessLock *lock, gboolean strict_reader, guint look)
{
    if (lock->flock && foreign->what == NULL)
        foreign->what = "flock";
    if ((look & LOOK_AT_LEASES) != 0 && dlk_process_lock_touches(lock, DLK_BYTE_LEASE, DLK_BYTE_LEASE)) {
        foreign->what = strcmp(lock->command, "virtlockd") == 0 ? "virtlockd" : "lock";
        describe_lease(foreign, lock->write, strict_reader);
    }
    if (!dlk_process_lock_touches(lock, DLK_BYTE_QEMU_FIRST, DLK_BYTE_QEMU_LAST))
        return;
    if (lock->first >= DLK_BYTE_QEMU_FIRST)
        foreign->what = "qemu";
    else if (foreign->what == NULL)
        foreign->what = "lock";
    foreign->writes =
        foreign->writes || dlk_process_lock_touches(lock, DLK_BYTE_QEMU_WRITES, DLK_BYTE_QEMU_WRITES);
    foreign->alone = foreign->alone || dlk_process_lock_touches(lock, DLK_BYTE_QEMU_SHARES_NO_WRITES,
                                                                DLK_BYTE_QEMU_SHARES_NO_WRITES);
}

/* One process: @locks from @start to @end (not included). */
static void
add_process(GPtrArray *foreigners, GArray *locks, guint start, guint end, guint look)
{
    g_autoptr(DlkForeign) foreign = g_new0(DlkForeign, 1);
    gboolean strict_reader = FALSE;
    for (guint i = start; i < end; i++) {
        const DlkProcessLock *lock = &g_array_index(locks, DlkProcessLock, i);
        strict_reader =
            strict_reader || dlk_process_lock_touches(lock, DLK_BYTE_STRICT_READER, DLK_BYTE_STRICT_READER);
    }
    for (guint i = start; i < end; i++)
        describe_lock(foreign, &g_array_index(locks, DlkProcessLock, i), strict_reader, look);
    if (foreign->what == NULL)
        return;
    const DlkProcessLock *first = &g_array_index(locks, DlkProcessLock, start);
    foreign->pid = first->pid;
    foreign->command = dlk_text_printable(first->command, 0);
    g_ptr_array_add(foreigners, g_steal_pointer(&foreign));
}

static void
add_processes(GPtrArray *foreigners, GArray *locks, pid_t exempt_pid, guint look)
{
    for (guint start = 0, end; start < locks->len; start = end) {
        const pid_t pid = g_array_index(locks, DlkProcessLock, start).pid;
        for (end = start; end < locks->len && g_array_index(locks, DlkProcessLock, end).pid == pid; end++) {
        }
        if (pid != exempt_pid)
            add_process(foreigners, locks, start, end, look);
    }
}

/*
 * Is @first to @last locked by somebody whom no process of this host explains? Asked only after the processes
 * were looked at: one that ended in between has taken its lock along.
 */
static DlkByteState
ask_unseen(int fd, GArray *locks, pid_t exempt_pid, guint64 first, guint64 last)
{
    pid_t pid = 0;
    if (dlk_process_locks_touch(locks, first, last))
        return DLK_BYTE_FREE;
    const DlkByteState state = dlk_image_locks_ask(fd, first, last, &pid);
    return pid != 0 && pid == exempt_pid ? DLK_BYTE_FREE : state;
}

static gboolean
is_locked(DlkByteState state)
{
    return state == DLK_BYTE_READ_LOCKED || state == DLK_BYTE_WRITE_LOCKED;
}

static void
add_unseen(GPtrArray *foreigners, int fd, GArray *locks, GArray *own, pid_t exempt_pid, guint look)
{
    g_autoptr(DlkForeign) foreign = g_new0(DlkForeign, 1);
    if ((look & LOOK_AT_LEASES) != 0 && !dlk_process_locks_touch(own, DLK_BYTE_LEASE, DLK_BYTE_LEASE)) {
        const DlkByteState state = ask_unseen(fd, locks, exempt_pid, DLK_BYTE_LEASE, DLK_BYTE_LEASE);
        if (is_locked(state)) {
            const DlkByteState strict =
                ask_unseen(fd, locks, exempt_pid, DLK_BYTE_STRICT_READER, DLK_BYTE_STRICT_READER);
            describe_lease(foreign, state == DLK_BYTE_WRITE_LOCKED, is_locked(strict));
            foreign->what = "lock";
        }
    }
    if (is_locked(ask_unseen(fd, locks, exempt_pid, DLK_BYTE_QEMU_FIRST, DLK_BYTE_QEMU_LAST))) {
        foreign->what = "lock";
        foreign->writes = foreign->writes || is_locked(ask_unseen(fd, locks, exempt_pid, DLK_BYTE_QEMU_WRITES,
                                                                  DLK_BYTE_QEMU_WRITES));
        foreign->alone =
            foreign->alone || is_locked(ask_unseen(fd, locks, exempt_pid, DLK_BYTE_QEMU_SHARES_NO_WRITES,
                                                   DLK_BYTE_QEMU_SHARES_NO_WRITES));
    }
    if (foreign->what != NULL) {
        foreign->command = g_strdup("");
        g_ptr_array_add(foreigners, g_steal_pointer(&foreign));
    }
}

static gboolean
is_in_the_way(const DlkForeign *foreign, DlkMode mode, gboolean strict)
{
    switch (mode) {
    case DLK_MODE_EXCLUSIVE:
        return foreign->writes || foreign->alone;
    case DLK_MODE_SHARED:
        return foreign->alone;
    default:
        return foreign->writes && (foreign->alone || strict);
    }
}

/* Whom the caller wants to hear of: only those that a lease in @mode cannot stand beside. */
typedef struct {
    DlkMode mode;
    gboolean strict;
} Lease;

/*
 * All who lock it taken for one: if even that one would not be in the way, nobody is, and no process need be
 * looked at. A backing file that a hundred machines read is leased to the next reader as fast as an idle one.
 */
static gboolean
somebody_may_be_in_the_way(int fd, DlkByteState leases, const Lease *lease)
{
    const DlkByteState writes = dlk_image_locks_ask(fd, DLK_BYTE_QEMU_WRITES, DLK_BYTE_QEMU_WRITES, NULL);
    const DlkByteState alone =
        dlk_image_locks_ask(fd, DLK_BYTE_QEMU_SHARES_NO_WRITES, DLK_BYTE_QEMU_SHARES_NO_WRITES, NULL);
    const DlkForeign all = {.writes = writes != DLK_BYTE_FREE || leases != DLK_BYTE_FREE,
                            .alone = alone != DLK_BYTE_FREE || leases != DLK_BYTE_FREE};
    return is_in_the_way(&all, lease->mode, lease->strict);
}

/* udev locks a device, and some programs a file, for a moment: who still has it after so many µs is meant. */
#define FLOCK_PAUSE 100000

static gboolean
has_flock(const char *key)
{
    g_autofree char *text = NULL;
    if (key == NULL || !g_file_get_contents("/proc/locks", &text, NULL, NULL))
        return FALSE;
    g_autofree char *inode = g_strdup_printf(" %s ", key);
    for (const char *found = strstr(text, inode); found != NULL; found = strstr(found + 1, inode)) {
        const char *line = found;
        while (line > text && line[-1] != '\n')
            line--;
        g_autofree char *before = g_strndup(line, (gsize)(found - line));
        if (strstr(before, "FLOCK") != NULL)
            return TRUE;
    }
    return FALSE;
}

/* No lease minds it, so only those are shown it who want to hear of everybody. */
static gboolean
has_lasting_flock(const char *key, const Lease *lease)
{
    if (lease != NULL || !has_flock(key))
        return FALSE;
    g_usleep(FLOCK_PAUSE);
    return has_flock(key);
}

static gboolean
cannot_ask(const DlkTarget *target, GError **error)
{
    const int errsv = errno;
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot ask who has locked %s", label);
}

/*
 * Where locks are mandatory and asking for one takes it for a moment: asked after is only what lies behind
 * the disk's end. Whatever is on its own bytes, QEMU's locks, would refuse what a machine reads or writes
 * there just then, and is seen of this host's processes alone.
 */
static gboolean
add_mandatory_lockers(GPtrArray *foreigners, int fd, const DlkTarget *target, pid_t exempt_pid, guint look,
                      GError **error)
{
    const guint64 byte = DLK_BYTES_BEYOND + DLK_BYTE_LEASE;
    const DlkByteState state =
        (look & LOOK_AT_LEASES) != 0 ? dlk_image_locks_ask(fd, byte, byte, NULL) : DLK_BYTE_FREE;
    if (state == DLK_BYTE_UNKNOWN)
        return cannot_ask(target, error);
    g_autofree char *key = dlk_process_locks_key(fd);
    g_autoptr(GArray) locks = dlk_process_locks_find(key != NULL ? key : "");
    g_autoptr(GArray) own = dlk_process_locks_find_own(key != NULL ? key : "", fd);
    add_processes(foreigners, locks, exempt_pid, look);
    if (state == DLK_BYTE_FREE || dlk_process_locks_touch(own, byte, byte))
        return TRUE;
    DlkForeign *foreign = g_new0(DlkForeign, 1);
    describe_lease(foreign, state == DLK_BYTE_WRITE_LOCKED, FALSE);
    foreign->what = "lock";
    foreign->command = g_strdup("");
    g_ptr_array_add(foreigners, foreign);
    return TRUE;
}

/* One question where nobody is, which is nearly always; every process of the host only where somebody is. */
static gboolean
add_lockers(GPtrArray *foreigners, int fd, const DlkTarget *target, pid_t exempt_pid, guint look,
            const Lease *lease, GError **error)
{
    if (dlk_shared_locks_are_mandatory(target->disk))
        return add_mandatory_lockers(foreigners, fd, target, exempt_pid, look, error);
    DlkByteState leases = DLK_BYTE_FREE;
    DlkByteState qemu = dlk_image_locks_ask(fd, DLK_BYTE_QEMU_FIRST, DLK_BYTE_QEMU_LAST, NULL);
    if (qemu != DLK_BYTE_UNKNOWN && (look & LOOK_AT_LEASES) != 0)
        leases = dlk_image_locks_ask(fd, DLK_BYTE_LEASE, DLK_BYTE_LEASE, NULL);
    if (qemu == DLK_BYTE_UNKNOWN || leases == DLK_BYTE_UNKNOWN)
        return cannot_ask(target, error);
    const gboolean is_free = qemu == DLK_BYTE_FREE && leases == DLK_BYTE_FREE;
    if (lease != NULL && (is_free || !somebody_may_be_in_the_way(fd, leases, lease)))
        return TRUE;
    g_autofree char *key = dlk_process_locks_key(fd);
    if (is_free && !has_lasting_flock(key, lease))
        return TRUE;
    g_autoptr(GArray) locks = dlk_process_locks_find(key != NULL ? key : "");
    g_autoptr(GArray) own = dlk_process_locks_find_own(key != NULL && leases != DLK_BYTE_FREE ? key : "", fd);
    add_processes(foreigners, locks, exempt_pid, look);
    add_unseen(foreigners, fd, locks, own, exempt_pid, look);
    return TRUE;
}

static gboolean
reopen_and_add_lockers(GPtrArray *foreigners, const DlkTarget *target, pid_t exempt_pid, const Lease *lease,
                       GError **error)
{
    dlk_autofd fd = dlk_target_open(target, O_RDONLY);
    if (fd < 0) {
        const int errsv = errno;
        g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                                   "cannot open %s to see who has locked it", label);
    }
    return add_lockers(foreigners, fd, target, exempt_pid, LOOK_AT_QEMU | LOOK_AT_LEASES, lease, error);
}

/*
 * QEMU locks the node that it opens. A machine on a partition is found by the partition's node, and one on
 * the whole disk by that one's, whichever of them is asked about.
 */
static void
add_lockers_of_overlapping(GPtrArray *foreigners, const DlkTarget *target, pid_t exempt_pid,
                           const Lease *lease)
{
    g_autoptr(GPtrArray) bases = dlk_foreign_block_bases(&dlk_devices, target->disk->device);
    for (guint i = 0; i < bases->len; i++) {
        dev_t device = 0;
        if (!dlk_sysfs_block_device(bases->pdata[i], &device) || device == target->disk->device)
            continue;
        dlk_autofd fd = dlk_sysfs_block_open(&dlk_devices, bases->pdata[i]);
        if (fd >= 0)
            (void)add_lockers(foreigners, fd, target, exempt_pid, LOOK_AT_QEMU | LOOK_AT_LEASES, lease, NULL);
    }
}

/* @fd: the hold's own descriptor, or -1. @look: what is asked by that one. */
static GPtrArray *
find(const DlkTarget *target, int fd, guint look, pid_t exempt_pid, const Lease *lease, GError **error)
{
    g_autoptr(GPtrArray) foreigners = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_foreign_free);
    if (target->fd < 0)
        return g_steal_pointer(&foreigners);
    const gboolean ok = fd >= 0 ? add_lockers(foreigners, fd, target, exempt_pid, look, lease, error)
                                : reopen_and_add_lockers(foreigners, target, exempt_pid, lease, error);
    if (!ok)
        return NULL;
    if (target->disk->kind == DLK_KIND_BLOCK) {
        add_lockers_of_overlapping(foreigners, target, exempt_pid, lease);
        dlk_foreign_block_find(foreigners, target, &dlk_devices);
    } else {
        dlk_foreign_file_find(foreigners, target, &dlk_devices);
    }
    return g_steal_pointer(&foreigners);
}

GPtrArray *
dlk_foreign_find(const DlkTarget *target, pid_t exempt_pid, GError **error)
{
    return find(target, -1, 0, exempt_pid, NULL, error);
}

/* The descriptor of the disk that carries a lock of @hold, or -1: its lock is on something else. */
static int
own_fd(const DlkHold *hold)
{
    if (hold->fd >= 0 && hold->fd == hold->target->fd)
        return hold->fd;
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        if (hold->parts[i] && own_fd(hold->parts[i]) >= 0)
            return own_fd(hold->parts[i]);
    return -1;
}

GPtrArray *
dlk_foreign_find_beside(const DlkHold *hold, DlkMode mode, GError **error)
{
    const Lease lease = {mode, hold->strict};
    /* Whoever stands beside our lock on byte 0 is shareable; only a reader that tolerates no writer must know
     * more. */
    const guint look = LOOK_AT_QEMU | (mode == DLK_MODE_READ_ONLY && hold->strict ? LOOK_AT_LEASES : 0);
    return find(hold->target, own_fd(hold), look, hold->pid, &lease, error);
}

const DlkForeign *
dlk_foreign_obstacle(GPtrArray *foreigners, DlkMode mode, gboolean strict)
{
    for (guint i = 0; i < foreigners->len; i++) {
        const DlkForeign *foreign = g_ptr_array_index(foreigners, i);
        if (is_in_the_way(foreign, mode, strict))
            return foreign;
    }
    return NULL;
}
