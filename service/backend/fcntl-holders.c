#include "backend/fcntl-parts.h"
#include "backend/holder-attributes.h"
#include "backend/holder-files.h"
#include "backend/image-locks.h"
#include "backend/process-locks.h"
#include "backend/server-advice.h"
#include "backend/shared-locks.h"
#include "base/as-user.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "model/holder-record.h"

#include <errno.h>
#include <fcntl.h>

/*
 * Beside its record a lease keeps a byte of the file locked, far behind those that mean anything to others: a
 * record whose byte nobody has locked is left of somebody who is gone.
 */
static guint64
first_byte(const DlkTarget *target)
{
    return dlk_shared_locks_base(target->disk) + DLK_BYTE_HOLDER_FIRST;
}

static guint64
byte_of(const DlkTarget *target, const DlkLeaseId *lease)
{
    return first_byte(target) + lease->low % DLK_BYTE_HOLDERS;
}

static guint64
lease_byte(const DlkTarget *target)
{
    return dlk_shared_locks_base(target->disk) + DLK_BYTE_LEASE;
}

/* What is done to the records of a file, with the rights by which it is opened. */
typedef struct {
    const DlkTarget *target;
    int fd;
    gboolean files; /* where the filesystem has no attributes, in files beside it */
    const DlkLeaseId *lease;
    const char *record; /* %NULL: none is to stand */
    gboolean alone;     /* whose it is has the file alone: the others' are left of the dead */
    GPtrArray *found;
    gboolean more; /* records than were read */
} Job;

static Job
job_for(const DlkTarget *target, int fd, const DlkRule *rule)
{
    return (Job){
        .target = target,
        .fd = fd,
        .files = rule->holder_file && target->folder_fd >= 0 && target->name != NULL,
    };
}

static int
write_one(gpointer data)
{
    const Job *job = data;
    if (job->alone)
        dlk_holder_attributes_remove_others(job->fd, job->lease);
    if (dlk_holder_attributes_write(job->fd, job->lease, job->record))
        return 0;
    if (errno != ENOTSUP || !job->files)
        return -1;
    if (job->alone)
        dlk_holder_files_remove_others(job->target->folder_fd, job->target->name, job->lease);
    return dlk_holder_files_write(job->target->folder_fd, job->target->name, job->lease, job->record) ? 0
                                                                                                      : -1;
}

static int
remove_one(gpointer data)
{
    const Job *job = data;
    if (dlk_holder_attributes_remove(job->fd, job->lease))
        return 0;
    return job->files && dlk_holder_files_remove(job->target->folder_fd, job->target->name, job->lease) ? 0
                                                                                                        : -1;
}

static int
read_all(gpointer data)
{
    Job *job = data;
    gboolean more_files = FALSE;
    if (!dlk_holder_attributes_read(job->fd, job->found, &job->more))
        return -1;
    if (job->files &&
        !dlk_holder_files_read(job->target->folder_fd, job->target->name, job->found, &more_files))
        return -1;
    job->more = job->more || more_files;
    return 0;
}

static int
run(Job *job, DlkAsUserFunc func)
{
    const char *user = job->target->open_as;
    return user != NULL ? dlk_as_user(user, job->fd, func, job) : func(job);
}

/* Where others see only that, for writing, if the descriptor allows it: a reader's does not. */
static gboolean
lock_byte(const DlkHold *hold, guint64 byte)
{
    return (!dlk_shared_locks_show_readers(hold->target->disk->filesystem) &&
            dlk_image_locks_set(hold->fd, byte, F_WRLCK)) ||
           dlk_image_locks_set(hold->fd, byte, F_RDLCK);
}

/* Where locks stay on this host nobody else is to be told. The byte goes with the lock of the lease. */
void
dlk_fcntl_record(DlkBackend *self, DlkHold *hold, gboolean stands)
{
    if (hold->target->disk->lock_limit != NULL)
        g_clear_pointer(&hold->holder, dlk_holder_unref); /* a tenth of what a lease takes */
    if (hold->fd < 0 || hold->holder == NULL)
        return;
    g_autofree char *record = stands ? dlk_holder_record_format(hold->holder, hold->mode, hold->key) : NULL;
    Job job = job_for(hold->target, hold->fd, hold->rule);
    job.lease = &hold->holder->lease;
    job.record = record;
    job.alone = hold->mode == DLK_MODE_EXCLUSIVE;
    const gboolean done = stands
                              ? lock_byte(hold, byte_of(hold->target, job.lease)) && run(&job, write_one) == 0
                              : run(&job, remove_one) == 0;
    if (!done) {
        const int errsv = errno;
        g_autofree char *label = dlk_text_printable(dlk_disk_label(hold->target->disk), 0);
        g_debug("%s: cannot tell other hosts who has it: %s", label, g_strerror(errsv));
    }
}

/* @more (out): there are more than were read. */
static GPtrArray *
find(const DlkTarget *target, int fd, const DlkRule *rule, gboolean *more, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
    Job job = job_for(target, fd, rule);
    job.found = found;
    if (fd < 0 || run(&job, read_all) < 0) {
        const int errsv = errno;
        g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot read who holds %s", label);
        return NULL;
    }
    for (guint i = 0; i < found->len; i++) {
        DlkHolder *holder = found->pdata[i];
        const guint64 byte = byte_of(target, &holder->lease);
        const DlkByteState state = dlk_image_locks_ask(fd, byte, byte, NULL);
        holder->confirmed = state == DLK_BYTE_READ_LOCKED || state == DLK_BYTE_WRITE_LOCKED;
    }
    *more = job.more;
    return g_steal_pointer(&found);
}

static gboolean
is_locked(const DlkTarget *target, int fd)
{
    const guint64 byte = lease_byte(target);
    const DlkByteState state = dlk_image_locks_ask(fd, byte, byte, NULL);
    return state == DLK_BYTE_READ_LOCKED || state == DLK_BYTE_WRITE_LOCKED;
}

static gboolean
may_be_locked(const DlkTarget *target, int fd)
{
    return is_locked(target, fd) || !dlk_shared_locks_show_readers(target->disk->filesystem);
}

gboolean
dlk_fcntl_holders(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                  GError **error)
{
    if (target->disk->lock_limit != NULL)
        return TRUE;
    dlk_autofd fd = dlk_target_open(target, O_RDONLY);
    gboolean more = FALSE;
    g_autoptr(GPtrArray) found = find(target, fd, rule, &more, error);
    const gboolean locked = found != NULL && (found->len > 0 || more) && may_be_locked(target, fd);
    for (guint i = 0; found != NULL && i < found->len; i++) {
        DlkHolder *holder = found->pdata[i];
        /* Its byte may be kept locked, by whatever means, where no lease is. */
        holder->confirmed = holder->confirmed && locked;
        g_ptr_array_add(holders, dlk_holder_ref(holder));
    }
    if (more && locked) {
        DlkHolder *unknown = dlk_holder_new(DLK_MODE_SHARED);
        unknown->confirmed = TRUE;
        g_ptr_array_add(holders, unknown);
    }
    return found != NULL;
}

/* ---- fencing ---- */

/* What is known of the locks on a file and of the host that is to be fenced. */
typedef struct {
    guint removed; /* records that no lock stood behind any more */
    guint alive;   /* of that host's, that stand */
    guint others;  /* of other hosts, that stand */
    char *name;    /* as people know that host, or %NULL */
} Census;

static void
census_clear(Census *census)
{
    g_free(census->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Census, census_clear)

/* Where one cannot ask, one has to try; and what cannot be tried may stand. */
static gboolean
may_stand(const DlkTarget *target, const DlkHolder *holder)
{
    if (holder->confirmed || dlk_shared_locks_show_readers(target->disk->filesystem))
        return holder->confirmed;
    const guint64 byte = byte_of(target, &holder->lease);
    dlk_autofd fd = dlk_target_open(target, O_RDWR);
    const gboolean is_free = fd >= 0 && dlk_image_locks_set(fd, byte, F_WRLCK);
    if (is_free)
        (void)dlk_image_locks_set(fd, byte, F_UNLCK);
    return !is_free;
}

static void
take_census(Job *job, GPtrArray *holders, const char *host, Census *census)
{
    for (guint i = 0; i < holders->len; i++) {
        const DlkHolder *holder = holders->pdata[i];
        const gboolean is_theirs = g_str_equal(holder->host, host);
        job->lease = &holder->lease;
        if (is_theirs && holder->confirmed && census->name == NULL)
            census->name = g_strdup(holder->host_name);
        if (!is_theirs)
            census->others += holder->confirmed;
        else if (may_stand(job->target, holder))
            census->alive++;
        else if (run(job, remove_one) == 0)
            census->removed++;
    }
}

/* Is byte 0 locked, and by no process of this host? */
static gboolean
is_locked_elsewhere(const DlkTarget *target, int fd)
{
    const guint64 byte = lease_byte(target);
    g_autofree char *key = dlk_process_locks_key(fd);
    g_autoptr(GArray) locks = dlk_process_locks_find(key != NULL ? key : "");
    g_autoptr(GArray) own = dlk_process_locks_find_own(key != NULL ? key : "", fd);
    return is_locked(target, fd) && !dlk_process_locks_touch(locks, byte, byte) &&
           !dlk_process_locks_touch(own, byte, byte);
}

static gint
compare(gconstpointer a, gconstpointer b)
{
    const guint64 first = *(const guint64 *)a, second = *(const guint64 *)b;
    return first < second ? -1 : first > second;
}

/* The bytes that need no asking after: of the records that were read, and of leases of this host. */
static GArray *
known_bytes(const DlkTarget *target, int fd, GPtrArray *holders)
{
    const guint64 begin = first_byte(target);
    GArray *bytes = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autofree char *key = dlk_process_locks_key(fd);
    g_autoptr(GArray) own = dlk_process_locks_find_own(key != NULL ? key : "", fd);
    for (guint i = 0; i < holders->len; i++) {
        const guint64 byte = byte_of(target, &((const DlkHolder *)holders->pdata[i])->lease);
        g_array_append_val(bytes, byte);
    }
    for (guint i = 0; i < own->len; i++) {
        const DlkProcessLock *lock = &g_array_index(own, DlkProcessLock, i);
        if (lock->first == lock->last && lock->first >= begin && lock->first < begin + DLK_BYTE_HOLDERS)
            g_array_append_val(bytes, lock->first);
    }
    g_array_sort(bytes, compare);
    return bytes;
}

/* Does a lease of another host stand whose record was not read, because it could not be written say? */
static gboolean
is_held_without_record(const DlkTarget *target, int fd, GPtrArray *holders)
{
    g_autoptr(GArray) known = known_bytes(target, fd, holders);
    guint64 from = first_byte(target);
    const guint64 end = from + DLK_BYTE_HOLDERS;
    g_array_append_val(known, end);
    for (guint i = 0; i < known->len; i++) {
        const guint64 byte = g_array_index(known, guint64, i);
        if (byte > from && dlk_image_locks_ask(fd, from, byte - 1, NULL) != DLK_BYTE_FREE)
            return TRUE;
        from = byte + 1;
    }
    return FALSE;
}

/* A client cannot end another's lock: what an administrator does about it, by the kind of filesystem. */
static char *
advise(const DlkTarget *target)
{
    const char *filesystem = target->disk->filesystem != NULL ? target->disk->filesystem : "";
    if (g_str_has_prefix(filesystem, "nfs"))
        return g_strdup(DLK_NFS_SERVER_ADVICE);
    if (g_str_equal(filesystem, "cifs") || g_str_equal(filesystem, "smb3"))
        return g_strdup(
            "on the server, where it is Samba: find the address of that host with  smbstatus -b  and end its "
            "session with  smbcontrol smbd kill-client-ip ADDRESS");
    if (g_str_equal(filesystem, "gfs2") || g_str_equal(filesystem, "ocfs2"))
        return g_strdup(
            "have the cluster fence that host (pcs stonith fence, or as your cluster has it): its locks "
            "go with its membership");
    return g_strdup_printf("on the server of the %s filesystem: end the session of that host", filesystem);
}

gboolean
dlk_fcntl_fence(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                guint *removed, GError **error)
{
    g_auto(Census) census = {0};
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    if (target->disk->lock_limit != NULL) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED, "%s: no other host can have locked it: %s",
                    label, target->disk->lock_limit);
        return FALSE;
    }
    dlk_autofd fd = dlk_target_open(target, O_RDONLY);
    gboolean more = FALSE;
    g_autoptr(GPtrArray) holders = find(target, fd, rule, &more, error);
    if (holders == NULL)
        return FALSE;
    const gboolean unknown =
        is_held_without_record(target, fd, holders) || (more && may_be_locked(target, fd));
    const gboolean locked = is_locked_elsewhere(target, fd);
    Job job = job_for(target, fd, rule);
    take_census(&job, holders, host, &census);
    *removed = census.removed;
    if (census.alive == 0 && !unknown && (!locked || census.others > 0))
        return TRUE;
    g_autofree char *name = census.name != NULL ? dlk_text_printable(census.name, 0) : NULL;
    g_autofree char *who =
        census.alive > 0 ? g_strconcat("host ", host, name != NULL ? ", by its record " : "", name, NULL)
                         : g_strdup("a host that has left no record, which may be this one");
    g_autofree char *what = advise(target);
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                "%s: it is locked by %s, and from here that lock cannot be ended: %s", label, who, what);
    return FALSE;
}
