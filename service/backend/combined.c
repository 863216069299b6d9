#include "backend/combined.h"

#include "base/error.h"
#include "model/holder-keys.h"

#include <string.h>

#define PARTS DLK_HOLD_PARTS

struct _DlkCombinedBackend {
    DlkBackend parent_instance;
    char *name;
    DlkBackend *parts[PARTS]; /* borrowed */
};

G_DEFINE_TYPE(DlkCombinedBackend, dlk_combined_backend, DLK_TYPE_BACKEND)

/* Of a hold: which of its parts are locked. */
typedef struct {
    gboolean held[PARTS];
} State;

static DlkBackendClass *
class_of(const DlkHold *part)
{
    return DLK_BACKEND_GET_CLASS(part->backend);
}

static gboolean
serves(DlkBackend *part, DlkMode mode, gboolean strict)
{
    const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(part);
    return klass->serves == NULL || klass->serves(part, mode, strict);
}

/* Is part @index of @hold locked while the lease is in @mode? Where no part could be, all are asked, and say
 * why not. */
static gboolean
takes_part(const DlkHold *hold, guint index, DlkMode mode)
{
    const DlkHold *part = hold->parts[index], *other = hold->parts[1 - index];
    return serves(part->backend, mode, hold->strict) || !serves(other->backend, mode, hold->strict);
}

/* Kept over a suspension, as the hold is. */
static State *
make_parts(DlkCombinedBackend *self, DlkHold *hold)
{
    for (guint i = 0; i < PARTS; i++) {
        if (hold->parts[i] != NULL)
            continue;
        hold->parts[i] = dlk_hold_new(self->parts[i], hold->target, hold->mode, hold->strict, hold->pid);
        hold->parts[i]->rule = dlk_rule_ref(hold->rule);
        if (hold->holder != NULL)
            dlk_hold_set_holder(hold->parts[i], hold->holder);
    }
    if (hold->state == NULL)
        dlk_hold_set_state(hold, g_new0(State, 1), g_free);
    for (guint i = 0; i < PARTS; i++)
        hold->parts[i]->mode = hold->mode;
    return hold->state;
}

/* What cannot be given up is not counted with any more: to be held again it has to be taken again. */
static gboolean
give_up(DlkHold *hold, guint index, GError **error)
{
    State *state = hold->state;
    DlkHold *part = hold->parts[index];
    if (!state->held[index])
        return TRUE;
    state->held[index] = FALSE;
    return class_of(part)->release(part->backend, part, error);
}

static void
give_back_all(DlkHold *hold)
{
    for (guint i = PARTS; i-- > 0;) {
        g_autoptr(GError) error = NULL;
        if (!give_up(hold, i, &error))
            g_message("%s", error->message);
    }
}

static gboolean
combined_probe(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    const DlkCombinedBackend *self = DLK_COMBINED_BACKEND(backend);
    for (guint i = 0; i < PARTS; i++)
        if (!dlk_backend_probe(self->parts[i], target, rule, error))
            return FALSE;
    return TRUE;
}

static gboolean
combined_acquire(DlkBackend *backend, DlkHold *hold, const DlkRule *rule, GError **error)
{
    State *state = make_parts(DLK_COMBINED_BACKEND(backend), hold);
    for (guint i = 0; i < PARTS; i++) {
        DlkHold *part = hold->parts[i];
        if (!takes_part(hold, i, hold->mode))
            continue;
        state->held[i] = class_of(part)->acquire(part->backend, part, rule, error);
        if (state->held[i])
            continue;
        give_back_all(hold);
        return FALSE;
    }
    return TRUE;
}

/* Lost is worse than not known. A part that is in another mode than the lease was left so by a change that
 * could be neither made nor undone. */
static DlkCheck
combined_check(DlkBackend *backend, DlkHold *hold, char **reason)
{
    const State *state = hold->state;
    DlkCheck worst = DLK_CHECK_HELD;
    for (guint i = 0; i < PARTS && worst != DLK_CHECK_LOST; i++) {
        g_autofree char *why = NULL;
        DlkHold *part = hold->parts[i];
        if (state == NULL || !takes_part(hold, i, hold->mode))
            continue;
        DlkCheck answer = DLK_CHECK_LOST;
        if (state->held[i] && part->mode == hold->mode)
            answer = class_of(part)->check(part->backend, part, &why);
        else
            why = g_strdup(DLK_REASON_NOT_LOCKED);
        if (answer == DLK_CHECK_HELD || (answer == DLK_CHECK_UNKNOWN && worst == DLK_CHECK_UNKNOWN))
            continue;
        worst = answer;
        g_free(*reason);
        *reason = g_steal_pointer(&why);
    }
    if (state != NULL)
        return worst;
    *reason = g_strdup(DLK_REASON_NOT_LOCKED);
    return DLK_CHECK_LOST;
}

/* Brings part @index to @mode, where it takes part: converted, or locked anew. */
static gboolean
bring_to(DlkHold *hold, guint index, DlkMode mode, GError **error)
{
    State *state = hold->state;
    DlkHold *part = hold->parts[index];
    if (!takes_part(hold, index, mode) || (state->held[index] && part->mode == mode))
        return TRUE;
    if (state->held[index])
        return class_of(part)->convert(part->backend, part, mode, error);
    part->mode = mode;
    state->held[index] = class_of(part)->acquire(part->backend, part, hold->rule, error);
    return state->held[index];
}

/* Back to the mode that the lease still has. */
static void
undo(DlkHold *hold)
{
    for (guint i = PARTS; i-- > 0;) {
        g_autoptr(GError) error = NULL;
        const gboolean takes = takes_part(hold, i, hold->mode);
        if (takes ? !bring_to(hold, i, hold->mode, &error) : !give_up(hold, i, &error))
            g_message("%s", error->message);
    }
}

/* First the parts that go on, so that they keep others away while one comes or goes. */
static gboolean
combined_convert(DlkBackend *backend, DlkHold *hold, DlkMode mode, GError **error)
{
    const DlkMode before = hold->mode;
    for (guint round = 0; round < 2; round++)
        for (guint i = 0; i < PARTS; i++) {
            const gboolean goes_on = takes_part(hold, i, before);
            if ((round == 0) == goes_on && !bring_to(hold, i, mode, error)) {
                undo(hold);
                return FALSE;
            }
        }
    for (guint i = 0; i < PARTS; i++) {
        g_autoptr(GError) failure = NULL;
        if (!takes_part(hold, i, mode) && !give_up(hold, i, &failure))
            g_message("%s", failure->message);
    }
    hold->mode = mode;
    return TRUE;
}

/* All are tried; the first failure is told. */
static gboolean
combined_release(DlkBackend *backend, DlkHold *hold, GError **error)
{
    g_autoptr(GError) failure = NULL;
    for (guint i = PARTS; hold->state != NULL && i-- > 0;)
        (void)give_up(hold, i, failure != NULL ? NULL : &failure);
    if (failure == NULL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* A record names the key that the other part stands by now: a conversion may have changed it. */
static void
combined_record(DlkBackend *backend, DlkHold *hold, gboolean stands)
{
    const State *state = hold->state;
    hold->key = 0;
    for (guint i = 0; state != NULL && i < PARTS; i++)
        if (state->held[i] && class_of(hold->parts[i])->record == NULL)
            hold->key = hold->parts[i]->key;
    for (guint i = 0; state != NULL && i < PARTS; i++) {
        DlkHold *part = hold->parts[i];
        if (!state->held[i] || class_of(part)->record == NULL)
            continue;
        part->key = hold->key;
        class_of(part)->record(part->backend, part, stands);
    }
}

static gboolean
adopt_part(DlkHold *part, int *fd, const DlkRule *rule, GError **error)
{
    const DlkBackendClass *klass = class_of(part);
    int fds[DLK_HOLD_PARTS] = {g_steal_fd(fd), -1};
    const gboolean adopted = klass->adopt != NULL ? klass->adopt(part->backend, part, fds, rule, error)
                                                  : klass->acquire(part->backend, part, rule, error);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        dlk_close_fd(&fds[i]);
    return adopted;
}

/* Lets go of what was adopted, and gives none of it up: whoever runs on these locks still runs. */
static void
forget_all(DlkHold *hold)
{
    State *state = hold->state;
    for (guint i = 0; i < PARTS; i++) {
        state->held[i] = FALSE;
        g_clear_pointer(&hold->parts[i], dlk_hold_unref);
    }
}

/*
 * A part that is lost is not locked, which the next check tells: the others keep everybody out until the
 * process that runs on them has been stopped, and are given up with the lease. One that is not known, or that
 * somebody has in this mode, is asked again: until then the lease stands by the rest.
 */
static gboolean
combined_adopt(DlkBackend *backend, DlkHold *hold, int *fds, const DlkRule *rule, GError **error)
{
    State *state = make_parts(DLK_COMBINED_BACKEND(backend), hold);
    g_autoptr(GError) failure = NULL;
    gboolean lost = FALSE;
    for (guint i = 0; i < PARTS && failure == NULL; i++) {
        if (!takes_part(hold, i, hold->mode))
            continue;
        state->held[i] = adopt_part(hold->parts[i], &fds[i], rule, &failure);
        if (!g_error_matches(failure, DLK_ERROR, DLK_ERROR_LEASE_LOST))
            continue;
        lost = TRUE;
        g_message("%s", failure->message);
        g_clear_error(&failure);
    }
    if (failure == NULL || lost)
        return TRUE;
    forget_all(hold);
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean
combined_holders(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                 GError **error)
{
    const DlkCombinedBackend *self = DLK_COMBINED_BACKEND(backend);
    for (guint i = 0; i < PARTS; i++)
        if (!dlk_backend_holders(self->parts[i], target, rule, holders, error))
            return FALSE;
    dlk_holders_name_keys(holders);
    return TRUE;
}

/* All are tried; the first failure is told. A part that is known to this host alone has nothing of others. */
static gboolean
combined_fence(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, const char *host,
               guint *removed, GError **error)
{
    const DlkCombinedBackend *self = DLK_COMBINED_BACKEND(backend);
    g_autoptr(GError) failure = NULL;
    for (guint i = 0; i < PARTS; i++) {
        guint count = 0;
        if (!DLK_BACKEND_GET_CLASS(self->parts[i])->reaches_other_hosts)
            continue;
        (void)dlk_backend_fence(self->parts[i], target, rule, host, &count, failure ? NULL : &failure);
        *removed += count;
    }
    if (failure == NULL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/* A part that should reach other hosts has to: it may be the only one that takes part in a mode. */
static char *
combined_reach_limit(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule)
{
    const DlkCombinedBackend *self = DLK_COMBINED_BACKEND(backend);
    guint reaching = 0;
    for (guint i = 0; i < PARTS; i++) {
        const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(self->parts[i]);
        char *limit = klass->reaches_other_hosts && klass->reach_limit != NULL
                          ? klass->reach_limit(self->parts[i], target, rule)
                          : NULL;
        if (limit != NULL)
            return limit;
        reaching += klass->reaches_other_hosts;
    }
    return reaching > 0 ? NULL : g_strdup_printf("the backend %s is known to this host alone", self->name);
}

/* That of one part is enough: in some modes it may be the only one that is locked. */
static char *
combined_unseen_loss(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule)
{
    const DlkCombinedBackend *self = DLK_COMBINED_BACKEND(backend);
    char *unseen = NULL;
    for (guint i = 0; i < PARTS && unseen == NULL; i++) {
        const DlkBackendClass *klass = DLK_BACKEND_GET_CLASS(self->parts[i]);
        unseen = klass->unseen_loss != NULL ? klass->unseen_loss(self->parts[i], target, rule) : NULL;
    }
    return unseen;
}

static const char *
combined_get_name(DlkBackend *backend)
{
    return DLK_COMBINED_BACKEND(backend)->name;
}

static void
dlk_combined_backend_finalize(GObject *object)
{
    g_free(DLK_COMBINED_BACKEND(object)->name);
    G_OBJECT_CLASS(dlk_combined_backend_parent_class)->finalize(object);
}

static void
dlk_combined_backend_class_init(DlkCombinedBackendClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = dlk_combined_backend_finalize;
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->get_name = combined_get_name;
    backend->reaches_other_hosts = TRUE;
    backend->reach_limit = combined_reach_limit;
    backend->unseen_loss = combined_unseen_loss;
    backend->probe = combined_probe;
    backend->acquire = combined_acquire;
    backend->check = combined_check;
    backend->convert = combined_convert;
    backend->release = combined_release;
    backend->record = combined_record;
    backend->adopt = combined_adopt;
    backend->holders = combined_holders;
    backend->fence = combined_fence;
}

static void
dlk_combined_backend_init(DlkCombinedBackend *self)
{
}

DlkBackend *
dlk_combined_backend_new(DlkBackend *first, DlkBackend *second)
{
    DlkCombinedBackend *self = g_object_new(DLK_TYPE_COMBINED_BACKEND, NULL);
    self->parts[0] = first;
    self->parts[1] = second;
    self->name = g_strconcat(dlk_backend_name(first), "+", dlk_backend_name(second), NULL);
    return DLK_BACKEND(self);
}
