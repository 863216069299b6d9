#include "backend/pr-read.h"
#include "backend/scsi-command.h"
#include "base/error.h"
#include "model/pr-in.h"

#define PERSISTENT_RESERVE_IN 0x5e
#define PERSISTENT_RESERVE_OUT 0x5f
#define REGISTER 0x00
#define PARAMETERS 24
/* What a command has room to say. */
#define MAX_ROOM 0xffffU
#define USUAL_ROOM 1024U
/* Keys and reservation are asked one after the other; between the two something may happen. */
#define TRIES 5

/* How much room the whole answer takes; 0: the little that it was given is always enough. */
static guint
room_needed(guint8 action, const GByteArray *answer)
{
    guint32 additional = 0;
    if (action == DLK_PR_IN_REPORT_CAPABILITIES || answer->len < 8)
        return 0;
    for (guint i = 4; i < 8; i++)
        additional = additional << 8 | answer->data[i];
    return MIN(additional, MAX_ROOM - 8) + 8;
}

static gboolean
ask_with_room(const DlkPrPath *path, guint8 action, guint room, GByteArray *answer, GError **error)
{
    const guint8 command[10] = {PERSISTENT_RESERVE_IN, action, [7] = (guint8)(room >> 8), (guint8)room};
    g_byte_array_set_size(answer, room);
    /* A host adapter that does not say how much came would otherwise have us read what was there before. */
    for (guint i = 0; i < room; i++)
        answer->data[i] = 0;
    const DlkScsiCommand in = {command, sizeof command, FALSE, answer->data, room};
    guint length = 0;
    if (!dlk_scsi_command_run(path->fd, path->name, &in, &length, error))
        return FALSE;
    g_byte_array_set_size(answer, length);
    return TRUE;
}

/* The answer to one service action; asked a second time where it needs more room. */
static GByteArray *
ask(const DlkPrPath *path, guint8 action, GError **error)
{
    g_autoptr(GByteArray) answer = g_byte_array_new();
    if (!ask_with_room(path, action, USUAL_ROOM, answer, error))
        return NULL;
    const guint needed = room_needed(action, answer);
    if (needed > USUAL_ROOM && !ask_with_room(path, action, needed, answer, error))
        return NULL;
    return g_steal_pointer(&answer);
}

/* What is missing may be what is asked for. */
static gboolean
too_many(const DlkPrPath *path, GError **error)
{
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s has more registrants than can be told",
                path->name);
    return FALSE;
}

static gboolean
read_keys(const DlkPrPath *path, DlkPrState *state, GError **error)
{
    gsize needed = 0;
    g_autoptr(GByteArray) answer = ask(path, DLK_PR_IN_READ_KEYS, error);
    if (answer == NULL)
        return FALSE;
    g_array_unref(state->keys);
    state->keys = NULL;
    if (!dlk_pr_in_read_keys(answer->data, answer->len, &state->generation, &state->keys, &needed, error)) {
        state->keys = g_array_new(FALSE, FALSE, sizeof(guint64));
        return FALSE;
    }
    return needed <= answer->len || too_many(path, error);
}

DlkPrState *
dlk_pr_read_scsi(const DlkPrPath *path, GError **error)
{
    g_autoptr(DlkPrState) state = dlk_pr_state_new();
    guint32 generation = 0;
    for (guint i = 0; i < TRIES; i++) {
        if (!read_keys(path, state, error))
            return NULL;
        g_autoptr(GByteArray) answer = ask(path, DLK_PR_IN_READ_RESERVATION, error);
        if (answer == NULL || !dlk_pr_in_read_reservation(answer->data, answer->len, &generation,
                                                          &state->type, &state->holder, error))
            return NULL;
        if (generation == state->generation)
            return g_steal_pointer(&state);
    }
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
                "%s: the reservations change faster than they can be read", path->name);
    return NULL;
}

gboolean
dlk_pr_read_scsi_types(const DlkPrPath *path, guint *types, GError **error)
{
    g_autoptr(GByteArray) answer = ask(path, DLK_PR_IN_REPORT_CAPABILITIES, error);
    return answer != NULL && dlk_pr_in_report_capabilities(answer->data, answer->len, types, error);
}

GPtrArray *
dlk_pr_read_scsi_registrants(const DlkPrPath *path, GError **error)
{
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GPtrArray) registrants = NULL;
    g_autoptr(GByteArray) answer = ask(path, DLK_PR_IN_READ_FULL_STATUS, error);
    if (answer == NULL ||
        !dlk_pr_in_read_full_status(answer->data, answer->len, &generation, &registrants, &needed, error))
        return NULL;
    if (needed <= answer->len)
        return g_steal_pointer(&registrants);
    too_many(path, error);
    return NULL;
}

gboolean
dlk_pr_register_scsi_plainly(const DlkPrPath *path, guint64 old, guint64 new, GError **error)
{
    const guint8 command[10] = {PERSISTENT_RESERVE_OUT, REGISTER, [8] = PARAMETERS};
    guint8 parameters[PARAMETERS] = {0};
    for (guint i = 0; i < 8; i++) {
        parameters[i] = (guint8)(old >> (56 - 8 * i));
        parameters[8 + i] = (guint8)(new >> (56 - 8 * i));
    }
    const DlkScsiCommand out = {command, sizeof command, TRUE, parameters, sizeof parameters};
    return dlk_scsi_command_run(path->fd, path->name, &out, NULL, error);
}
