#include "backend/pr-read.h"
#include "base/error.h"

#include <errno.h>
#include <linux/pr.h>
#include <sys/ioctl.h>

/* include/uapi/linux/pr.h of Linux 7.0, where Debian's headers are older. */
typedef struct {
    guint32 generation;
    guint32 num_keys; /* in: room; out: how many there are */
    guint64 keys_ptr;
} ReadKeys;

typedef struct {
    guint64 key;
    guint32 generation;
    guint32 type;
} ReadReservation;

#define READ_KEYS _IOWR('p', 206, ReadKeys)
#define READ_RESERVATION _IOR('p', 207, ReadReservation)
#define ROOM 1024
#define TRIES 5

static gboolean
cannot_be_asked(const DlkPrPath *path, int result, int errsv, GError **error)
{
    if (result >= 0) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE, "%s does not answer (status %#x)", path->name,
                    (guint)result);
        return FALSE;
    }
    if (errsv == ENOTTY)
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
            "%s: this kernel cannot tell who has reserved a namespace of NVMe; Linux 7.0 and later can",
            path->name);
    else if (errsv == EOPNOTSUPP || errsv == EINVAL)
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED, "%s has no reservations", path->name);
    else if (errsv == EPERM || errsv == EACCES)
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                            "%s: reading reservations takes CAP_SYS_ADMIN", path->name);
    else
        dlk_set_error_errno(error, DLK_ERROR_UNREACHABLE, errsv, "%s does not answer", path->name);
    return FALSE;
}

static gboolean
read_keys(const DlkPrPath *path, DlkPrState *state, GError **error)
{
    g_array_set_size(state->keys, ROOM);
    ReadKeys request = {.num_keys = ROOM, .keys_ptr = (guintptr)state->keys->data};
    const int result = ioctl(path->fd, READ_KEYS, &request);
    if (result != 0)
        return cannot_be_asked(path, result, errno, error);
    if (request.num_keys > ROOM) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s has more registrants than can be told",
                    path->name);
        return FALSE;
    }
    g_array_set_size(state->keys, request.num_keys);
    state->generation = request.generation;
    return TRUE;
}

DlkPrState *
dlk_pr_read_nvme(const DlkPrPath *path, GError **error)
{
    g_autoptr(DlkPrState) state = dlk_pr_state_new();
    for (guint i = 0; i < TRIES; i++) {
        ReadReservation request = {0};
        if (!read_keys(path, state, error))
            return NULL;
        const int result = ioctl(path->fd, READ_RESERVATION, &request);
        if (result != 0) {
            cannot_be_asked(path, result, errno, error);
            return NULL;
        }
        if (request.type >= DLK_PR_N_TYPES) {
            g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s has a reservation of no known type",
                        path->name);
            return NULL;
        }
        state->type = request.type;
        state->holder = dlk_pr_type_is_all(state->type) ? 0 : request.key;
        if (request.generation == state->generation)
            return g_steal_pointer(&state);
    }
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
                "%s: the reservations change faster than they can be read", path->name);
    return NULL;
}
