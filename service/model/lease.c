#include "model/lease.h"

#include "base/error.h"
#include "base/text.h"

#include <string.h>
#include <sys/random.h>

static const char *const state_names[DLK_N_STATES] = {"active", "suspended", "at-risk", "broken"};

void
dlk_lease_id_random(DlkLeaseId *id)
{
    /* 16 bytes come whole or, only before the kernel's pool is first filled, after a wait: random(7). */
    if (getrandom(id, sizeof *id, 0) != sizeof *id)
        g_error("getrandom(2) failed: no lease can be named safely");
}

static gboolean
parse_half(const char *text, guint64 *half)
{
    *half = 0;
    for (guint i = 0; i < 16; i++) {
        if (!g_ascii_isxdigit(text[i]) || g_ascii_isupper(text[i]))
            return FALSE;
        *half = *half << 4 | (guint64)g_ascii_xdigit_value(text[i]);
    }
    return TRUE;
}

gboolean
dlk_lease_id_parse(const char *text, DlkLeaseId *id)
{
    return strnlen(text, DLK_LEASE_ID_LENGTH + 1) == DLK_LEASE_ID_LENGTH && parse_half(text, &id->high) &&
           parse_half(text + 16, &id->low);
}

static void
format_half(guint64 half, char *text)
{
    for (guint i = 16; i-- > 0; half >>= 4)
        text[i] = "0123456789abcdef"[half & 15];
}

void
dlk_lease_id_format(const DlkLeaseId *id, char text[DLK_LEASE_ID_LENGTH + 1])
{
    format_half(id->high, text);
    format_half(id->low, text + 16);
    text[DLK_LEASE_ID_LENGTH] = '\0';
}

guint
dlk_lease_id_hash(gconstpointer id)
{
    return (guint)((const DlkLeaseId *)id)->low;
}

gboolean
dlk_lease_id_equal(gconstpointer a, gconstpointer b)
{
    const DlkLeaseId *x = a, *y = b;

    return x->high == y->high && x->low == y->low;
}

const char *
dlk_lease_state_to_string(DlkLeaseState state)
{
    return state_names[state];
}

gboolean
dlk_lease_state_from_string(const char *text, DlkLeaseState *state, GError **error)
{
    for (guint i = 0; i < DLK_N_STATES; i++) {
        if (g_str_equal(text, state_names[i])) {
            *state = i;
            return TRUE;
        }
    }

    g_autofree char *printable = dlk_text_printable(text, 32);
    g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                "state is \"%s\"; it must be active, suspended, at-risk or broken", printable);
    return FALSE;
}

gboolean
dlk_lease_state_may_follow(DlkLeaseState from, DlkLeaseState to)
{
    static const gboolean legal[DLK_N_STATES][DLK_N_STATES] = {
        [DLK_STATE_ACTIVE] =
            {[DLK_STATE_SUSPENDED] = TRUE, [DLK_STATE_AT_RISK] = TRUE, [DLK_STATE_BROKEN] = TRUE},
        [DLK_STATE_SUSPENDED] = {[DLK_STATE_ACTIVE] = TRUE, [DLK_STATE_BROKEN] = TRUE},
        [DLK_STATE_AT_RISK] =
            {[DLK_STATE_ACTIVE] = TRUE, [DLK_STATE_SUSPENDED] = TRUE, [DLK_STATE_BROKEN] = TRUE},
        /* Nothing follows broken: what was lost was lost. */
    };

    return legal[from][to];
}

DlkLease *
dlk_lease_new(DlkDisk *disk, DlkRule *rule, DlkMode mode)
{
    DlkLease *self = g_new0(DlkLease, 1);

    self->references = 1;
    dlk_lease_id_random(&self->id);
    self->disk = dlk_disk_ref(disk);
    self->rule = dlk_rule_ref(rule);
    self->mode = mode;
    return self;
}

void
dlk_lease_take_path(DlkLease *self, char *path)
{
    const gboolean is_same = g_strcmp0(path, self->disk->path) == 0;

    self->path = is_same ? self->disk->path : path;
    if (is_same)
        g_free(path);
}

DlkLease *
dlk_lease_ref(DlkLease *self)
{
    self->references++;
    return self;
}

void
dlk_lease_unref(DlkLease *self)
{
    if (--self->references > 0)
        return;

    g_assert(self->places == NULL);
    g_clear_pointer(&self->owner, g_ref_string_release);
    g_clear_pointer(&self->owner_uuid, g_ref_string_release);
    g_clear_pointer(&self->why, g_ref_string_release);
    g_clear_pointer(&self->process, dlk_pid_ref_unref);
    if (self->path != self->disk->path)
        g_free(self->path);
    dlk_disk_unref(self->disk);
    dlk_rule_unref(self->rule);
    g_free(self->broken_reason);
    g_free(self->risk_reason);
    g_free(self);
}
