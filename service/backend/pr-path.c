#include "backend/pr-path.h"

#include "backend/pr-read.h"
#include "backend/sysfs-block.h"
#include "base/error.h"

#include <errno.h>
#include <linux/pr.h>
#include <sys/ioctl.h>

/* Of unit attentions there may be several in a row, each of which eats one call. */
#define TRIES 10
#define BUSY_PAUSE_US (50 * G_TIME_SPAN_MILLISECOND)

/*
 * What the calls return above 0: until Linux 6.6 SCSI's status with the host's above it, sometimes with a bit
 * between that means nothing (0x118), and NVMe's own status; later the numbers of enum pr_status, which are
 * chosen alike.
 */
#define STATUS(result) ((guint)(result)&0xffU)
#define HOST_STATUS(result) (((guint)(result) >> 16) & 0xffU)
#define NVME_STATUS(result) ((guint)(result)&0x7ffU)
enum {
    CHECK_CONDITION = 0x02,
    BUSY = 0x08,
    RESERVATION_CONFLICT = 0x18,
    TASK_SET_FULL = 0x28,
    NVME_RESERVATION_CONFLICT = 0x83
};

DlkPrPath *
dlk_pr_path_open(const char *folder, GError **error)
{
    g_autoptr(DlkPrPath) self = g_new0(DlkPrPath, 1);
    g_autofree char *sequence = dlk_sysfs_block_read(folder, "diskseq");
    self->name = g_path_get_basename(folder);
    self->nvme = g_str_has_prefix(self->name, "nvme");
    g_autofree char *vendor = dlk_sysfs_block_read(folder, "device/vendor");
    self->linux_target = g_strcmp0(vendor, "LIO-ORG") == 0;
    self->sequence = sequence != NULL ? g_ascii_strtoull(sequence, NULL, 10) : 0;
    self->fd = dlk_sysfs_block_open(&dlk_devices, folder);
    if (self->fd >= 0)
        return g_steal_pointer(&self);
    dlk_set_error_errno(error, DLK_ERROR_UNREACHABLE, errno, "cannot open %s", self->name);
    return NULL;
}

void
dlk_pr_path_free(DlkPrPath *self)
{
    dlk_close_fd(&self->fd);
    g_free(self->name);
    g_free(self);
}

static gboolean
failed_to_send(const DlkPrPath *self, int errsv, GError **error)
{
    if (errsv == EPERM || errsv == EACCES)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                                   "%s: a reservation takes CAP_SYS_ADMIN", self->name);
    if (errsv == EOPNOTSUPP || errsv == ENOTTY)
        return dlk_set_error_errno(error, DLK_ERROR_UNSUPPORTED, errsv, "%s has no reservations", self->name);
    /* Since Linux 6.6 what a device says to a command or a field that it does not know (sd_scsi_to_pr_err(),
     * nvme_status_to_pr_err()). */
    if (errsv == EINVAL)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                                   "%s does not take this command for reservations", self->name);
    return dlk_set_error_errno(error, DLK_ERROR_UNREACHABLE, errsv, "%s does not answer", self->name);
}

static gboolean
is_conflict(const DlkPrPath *self, int result)
{
    return (STATUS(result) == RESERVATION_CONFLICT && HOST_STATUS(result) == 0) ||
           (self->nvme && NVME_STATUS(result) == NVME_RESERVATION_CONFLICT);
}

/* One call of linux/pr.h; @request is the structure that belongs to it. */
static gboolean
call(const DlkPrPath *self, unsigned long number, void *request, GError **error)
{
    int result = 0;
    for (guint i = 0; i < TRIES; i++) {
        result = ioctl(self->fd, number, request);
        if (result < 0)
            return failed_to_send(self, errno, error);
        if (result == 0)
            return TRUE;
        if (is_conflict(self, result)) {
            g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s: reservation conflict", self->name);
            return FALSE;
        }
        if (HOST_STATUS(result) != 0 || self->nvme)
            break;
        if (STATUS(result) == BUSY || STATUS(result) == TASK_SET_FULL)
            g_usleep(BUSY_PAUSE_US);
        else if (STATUS(result) != CHECK_CONDITION)
            break;
    }
    const gboolean refused = STATUS(result) == CHECK_CONDITION && HOST_STATUS(result) == 0;
    g_set_error(error, DLK_ERROR, refused ? DLK_ERROR_BACKEND_FAILED : DLK_ERROR_UNREACHABLE,
                refused ? "%s refuses (status %#x)" : "%s does not answer (status %#x)", self->name,
                (guint)result);
    return FALSE;
}

gboolean
dlk_pr_path_register(const DlkPrPath *self, guint64 old, guint64 new, GError **error)
{
    struct pr_registration request = {.old_key = old, .new_key = new};
    g_autoptr(GError) local = NULL;
    if (self->nvme && new == 0)
        return dlk_pr_unregister_nvme(self, old, error);
    if (call(self, IOC_PR_REGISTER, &request, &local))
        return TRUE;
    /* sd asks that it survive a loss of power; a target that cannot do that refuses. Why it refused is not
     * told by the call, but by the command. */
    if (!self->nvme && g_error_matches(local, DLK_ERROR, DLK_ERROR_BACKEND_FAILED))
        return dlk_pr_register_scsi_plainly(self, old, new, error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
dlk_pr_path_reserve(const DlkPrPath *self, guint64 key, DlkPrType type, GError **error)
{
    struct pr_reservation request = {.key = key, .type = type};
    return call(self, IOC_PR_RESERVE, &request, error);
}

gboolean
dlk_pr_path_release(const DlkPrPath *self, guint64 key, DlkPrType type, GError **error)
{
    struct pr_reservation request = {.key = key, .type = type};
    return call(self, IOC_PR_RELEASE, &request, error);
}

gboolean
dlk_pr_path_preempt(const DlkPrPath *self, guint64 key, guint64 victim, DlkPrType type, GError **error)
{
    /* The names of the fields are those of NVMe's kernel code: the old key is our own. */
    struct pr_preempt request = {.old_key = key, .new_key = victim, .type = type};
    return call(self, IOC_PR_PREEMPT, &request, error);
}

gboolean
dlk_pr_path_preempt_and_abort(const DlkPrPath *self, guint64 key, guint64 victim, DlkPrType type,
                              GError **error)
{
    struct pr_preempt request = {.old_key = key, .new_key = victim, .type = type};
    g_autoptr(GError) local = NULL;
    /* Linux's own target never answers it by tcm_loop, and keeps the device busy for good (seen on 6.1). */
    if (self->linux_target)
        return dlk_pr_path_preempt(self, key, victim, type, error);
    if (call(self, IOC_PR_PREEMPT_ABORT, &request, &local))
        return TRUE;
    if (!g_error_matches(local, DLK_ERROR, DLK_ERROR_UNSUPPORTED) &&
        !g_error_matches(local, DLK_ERROR, DLK_ERROR_BACKEND_FAILED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return dlk_pr_path_preempt(self, key, victim, type, error);
}

void
dlk_pr_path_clear_events(const DlkPrPath *self)
{
    if (self->nvme)
        dlk_pr_clear_nvme_events(self);
}

DlkPrState *
dlk_pr_path_read(const DlkPrPath *self, GError **error)
{
    return self->nvme ? dlk_pr_read_nvme(self, error) : dlk_pr_read_scsi(self, error);
}

gboolean
dlk_pr_path_read_types(const DlkPrPath *self, guint *types, GError **error)
{
    return self->nvme ? dlk_pr_read_nvme_types(self, types, error)
                      : dlk_pr_read_scsi_types(self, types, error);
}

GPtrArray *
dlk_pr_path_read_registrants(const DlkPrPath *self, GError **error)
{
    if (!self->nvme)
        return dlk_pr_read_scsi_registrants(self, error);
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED, "%s does not tell whose a registration is",
                self->name);
    return NULL;
}
