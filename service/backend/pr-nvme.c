#include "backend/pr-read.h"
#include "base/error.h"
#include "model/nvme-report.h"

#include <errno.h>
#include <linux/nvme_ioctl.h>
#include <sys/ioctl.h>

/* NVM Express Base Specification 2.0: opcodes, and status codes with their type above them. */
enum {
    GET_LOG_PAGE = 0x02,
    IDENTIFY = 0x06,
    RESERVATION_REGISTER = 0x0d,
    RESERVATION_REPORT = 0x0e
};
enum {
    UNREGISTER = 1
};
enum {
    INVALID_OPCODE = 0x01,
    INVALID_FIELD = 0x02,
    HOST_ID_FORMAT = 0x18,
    RESERVATION_CONFLICT = 0x83
};
#define STATUS(result) ((guint)(result)&0x7ffU)
#define TIMEOUT_MS 30000
#define USUAL_ROOM 4096U
#define IDENTIFY_LENGTH 4096U
#define MAX_ROOM (1U << 20)
#define EVERY_NAMESPACE 0xffffffffU
#define RESERVATION_LOG 0x80U
#define RESERVATION_LOG_LENGTH 64U
#define RESERVATION_LOG_MORE 9 /* the byte that says how many pages wait behind this one, */
#define MAX_LOG_PAGES 256      /* and what is more than it can say */

static gboolean
judge(const DlkPrPath *path, int result, int errsv, GError **error)
{
    if (result == 0)
        return TRUE;
    if (result < 0 && (errsv == EPERM || errsv == EACCES))
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                                   "%s: a reservation takes CAP_SYS_ADMIN", path->name);
    if (result < 0)
        return dlk_set_error_errno(error, DLK_ERROR_UNREACHABLE, errsv, "%s does not answer", path->name);
    DlkError code = DLK_ERROR_UNREACHABLE;
    if (STATUS(result) == RESERVATION_CONFLICT)
        code = DLK_ERROR_BUSY;
    else if (STATUS(result) == INVALID_OPCODE || STATUS(result) == INVALID_FIELD ||
             STATUS(result) == HOST_ID_FORMAT)
        code = DLK_ERROR_UNSUPPORTED;
    g_set_error(error, DLK_ERROR, (gint)code, "%s refuses: NVMe status %#x", path->name, STATUS(result));
    return FALSE;
}

/* @data: what goes there, or comes. */
static gboolean
send_command(const DlkPrPath *path, gboolean admin, struct nvme_passthru_cmd *command, GByteArray *data,
             GError **error)
{
    command->addr = (guintptr)data->data;
    command->data_len = data->len;
    command->timeout_ms = TIMEOUT_MS;
    const int result = ioctl(path->fd, admin ? NVME_IOCTL_ADMIN_CMD : NVME_IOCTL_IO_CMD, command);
    return judge(path, result, errno, error);
}

/* A command to the namespace itself; @admin: about it. */
static gboolean
run(const DlkPrPath *path, gboolean admin, guint8 opcode, guint32 cdw10, guint32 cdw11, GByteArray *data,
    GError **error)
{
    const int id = ioctl(path->fd, NVME_IOCTL_ID);
    if (id < 0)
        return judge(path, id, errno, error);
    struct nvme_passthru_cmd command = {
        .opcode = opcode, .nsid = (guint32)id, .cdw10 = cdw10, .cdw11 = cdw11};
    return send_command(path, admin, &command, data, error);
}

static GByteArray *
zeroes(guint length)
{
    GByteArray *bytes = g_byte_array_sized_new(length);
    g_byte_array_set_size(bytes, length);
    for (guint i = 0; i < length; i++)
        bytes->data[i] = 0;
    return bytes;
}

static DlkPrState *
report_with_room(const DlkPrPath *path, gboolean extended, guint room, gsize *needed, GError **error)
{
    g_autoptr(DlkPrState) state = dlk_pr_state_new();
    g_autoptr(GByteArray) answer = zeroes(room);
    if (!run(path, FALSE, RESERVATION_REPORT, room / 4 - 1, extended, answer, error) ||
        !dlk_nvme_report_read(answer->data, answer->len, extended, state, needed, error))
        return NULL;
    return g_steal_pointer(&state);
}

/* By one command keys and reservation are of one moment. */
static DlkPrState *
report(const DlkPrPath *path, gboolean extended, GError **error)
{
    gsize needed = 0;
    g_autoptr(DlkPrState) state = report_with_room(path, extended, USUAL_ROOM, &needed, error);
    if (state == NULL || needed <= USUAL_ROOM)
        return g_steal_pointer(&state);
    const guint room = (guint)MIN(needed, MAX_ROOM);
    g_clear_pointer(&state, dlk_pr_state_free);
    state = report_with_room(path, extended, room, &needed, error);
    if (state == NULL || needed <= room)
        return g_steal_pointer(&state);
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s has more registrants than can be told",
                path->name);
    return NULL;
}

DlkPrState *
dlk_pr_read_nvme(const DlkPrPath *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    DlkPrState *state = report(path, TRUE, &local);
    /* A host on PCI Express may have an id of 64 bits, which is told in the other format alone. */
    if (state == NULL && g_error_matches(local, DLK_ERROR, DLK_ERROR_UNSUPPORTED)) {
        g_clear_error(&local);
        state = report(path, FALSE, &local);
    }
    if (state == NULL)
        g_propagate_error(error, g_steal_pointer(&local));
    return state;
}

gboolean
dlk_pr_read_nvme_types(const DlkPrPath *path, guint *types, GError **error)
{
    g_autoptr(GByteArray) answer = zeroes(IDENTIFY_LENGTH);
    if (!run(path, TRUE, IDENTIFY, 0, 0, answer, error))
        return FALSE;
    *types = dlk_nvme_namespace_types(answer->data, answer->len);
    if (*types != 0)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED, "%s is a namespace that cannot be reserved",
                path->name);
    return FALSE;
}

gboolean
dlk_pr_unregister_nvme(const DlkPrPath *path, guint64 key, GError **error)
{
    g_autoptr(GByteArray) keys = zeroes(16);
    for (guint i = 0; i < 8; i++)
        keys->data[i] = (guint8)(key >> (8 * i));
    return run(path, FALSE, RESERVATION_REGISTER, UNREGISTER, 0, keys, error);
}

/*
 * By whichever controller leads to the namespace now. A controller that has told of one event tells of no
 * other of its type until the log is read (NVM Express Base Specification 2.0, 5.2).
 */
void
dlk_pr_clear_nvme_events(const DlkPrPath *path)
{
    g_autoptr(GByteArray) page = zeroes(RESERVATION_LOG_LENGTH);
    for (guint i = 0; i < MAX_LOG_PAGES; i++) {
        struct nvme_passthru_cmd command = {
            .opcode = GET_LOG_PAGE,
            .nsid = EVERY_NAMESPACE,
            .cdw10 = RESERVATION_LOG | (RESERVATION_LOG_LENGTH / 4 - 1) << 16,
        };
        if (!send_command(path, TRUE, &command, page, NULL) || page->data[RESERVATION_LOG_MORE] == 0)
            break;
    }
}
