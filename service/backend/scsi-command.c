#include "backend/scsi-command.h"

#include "base/error.h"
#include "model/scsi-sense.h"

#include <errno.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#define TIMEOUT_MS 30000 /* as sd's; the kernel resets what has not answered by then */
/* Of unit attentions there may be several in a row: reset, registrations preempted, reservations released. */
#define TRIES 10
#define BUSY_PAUSE_US (50 * G_TIME_SPAN_MILLISECOND)

/* SAM-5, status codes. */
enum {
    GOOD = 0x00,
    CHECK_CONDITION = 0x02,
    BUSY = 0x08,
    RESERVATION_CONFLICT = 0x18,
    TASK_SET_FULL = 0x28
};
/* A bit of driver_status: there is sense data. */
#define DRIVER_SENSE 0x08

static gboolean
failed_to_send(int errsv, const char *name, GError **error)
{
    if (errsv == EPERM || errsv == EACCES)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                                   "%s: a SCSI command takes CAP_SYS_RAWIO", name);
    if (errsv == ENOTTY || errsv == EINVAL || errsv == EOPNOTSUPP)
        return dlk_set_error_errno(error, DLK_ERROR_UNSUPPORTED, errsv, "%s takes no SCSI commands", name);
    return dlk_set_error_errno(error, DLK_ERROR_UNREACHABLE, errsv, "%s does not answer", name);
}

static gboolean
refused_with_sense(const DlkScsiSense *sense, const char *name, GError **error)
{
    DlkError code = DLK_ERROR_BACKEND_FAILED;
    if (sense->key == DLK_SENSE_NOT_READY || sense->key == DLK_SENSE_UNIT_ATTENTION ||
        sense->key == DLK_SENSE_ABORTED_COMMAND)
        code = DLK_ERROR_UNREACHABLE;
    else if (sense->key == DLK_SENSE_ILLEGAL_REQUEST &&
             (sense->code == DLK_ASC_INVALID_COMMAND || sense->code == DLK_ASC_INVALID_FIELD ||
              sense->code == DLK_ASC_INVALID_PARAMETER))
        code = DLK_ERROR_UNSUPPORTED;
    g_set_error(error, DLK_ERROR, (gint)code, "%s refuses: sense %x/%02x/%02x", name, sense->key, sense->code,
                sense->qualifier);
    return FALSE;
}

static gboolean
may_try_again(const sg_io_hdr_t *header, const DlkScsiSense *sense)
{
    if (header->status == BUSY || header->status == TASK_SET_FULL) {
        g_usleep(BUSY_PAUSE_US);
        return TRUE;
    }
    return header->status == CHECK_CONDITION && sense->key == DLK_SENSE_UNIT_ATTENTION;
}

/* What came of a command that the kernel has sent. */
static gboolean
judge(const sg_io_hdr_t *header, const DlkScsiSense *sense, const char *name, GError **error)
{
    if (header->status == RESERVATION_CONFLICT) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s: reservation conflict", name);
    } else if (header->status == CHECK_CONDITION) {
        return refused_with_sense(sense, name, error);
    } else if (header->host_status != 0 || (header->driver_status & ~DRIVER_SENSE) != 0 ||
               header->status == BUSY || header->status == TASK_SET_FULL) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
                    "%s does not answer (host status %#x, driver status %#x, status %#x)", name,
                    header->host_status, header->driver_status, header->status);
    } else if (header->status != GOOD) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s: SCSI status %#x", name, header->status);
    } else {
        return TRUE;
    }
    return FALSE;
}

gboolean
dlk_scsi_command_run(int fd, const char *name, const DlkScsiCommand *command, guint *transferred,
                     GError **error)
{
    sg_io_hdr_t header = {0};
    DlkScsiSense sense = {0};
    for (guint i = 0; i < TRIES; i++) {
        guint8 bytes[64] = {0};
        header = (sg_io_hdr_t){
            .interface_id = 'S',
            .dxfer_direction = command->to_device ? SG_DXFER_TO_DEV : SG_DXFER_FROM_DEV,
            .cmd_len = command->command_length,
            .cmdp = (guint8 *)command->command,
            .dxfer_len = command->data_length,
            .dxferp = command->data,
            .mx_sb_len = sizeof bytes,
            .sbp = bytes,
            .timeout = TIMEOUT_MS,
        };
        if (ioctl(fd, SG_IO, &header) < 0)
            return failed_to_send(errno, name, error);
        sense = (DlkScsiSense){0};
        (void)dlk_scsi_sense_read(bytes, MIN(header.sb_len_wr, sizeof bytes), &sense);
        if (!may_try_again(&header, &sense))
            break;
    }
    if (!judge(&header, &sense, name, error))
        return FALSE;
    if (transferred != NULL)
        *transferred = command->data_length - (guint)CLAMP(header.resid, 0, (int)command->data_length);
    return TRUE;
}
