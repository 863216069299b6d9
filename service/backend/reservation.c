#include "backend/reservation-parts.h"

#include "base/error.h"
#include "model/pr-in.h"
#include "model/pr-key.h"

/* Two hosts that begin at the same moment both register; the one whose reservation stands waits for the other
 * to step back. */
#define STEP_BACK_TRIES 20
#define STEP_BACK_PAUSE_US (50 * G_TIME_SPAN_MILLISECOND)

DlkReservation *
dlk_reservation_new(void)
{
    DlkReservation *self = g_new0(DlkReservation, 1);
    self->registered = g_array_new(FALSE, FALSE, sizeof(guint64));
    return self;
}

void
dlk_reservation_free(DlkReservation *self)
{
    g_array_unref(self->registered);
    g_free(self);
}

gboolean
dlk_reservation_set_busy(const DlkReservation *self, const DlkPrState *state, const char *label,
                         GError **error)
{
    g_autofree char *others = dlk_pr_state_describe_others(state, self->key);
    g_autofree char *reserved =
        state->type == DLK_PR_NONE
            ? g_strdup("")
            : g_strdup_printf(" and reserved (%s)", dlk_pr_type_to_string(state->type));
    const DlkPrObstacle obstacle = dlk_pr_state_obstacle(state, self->key, self->type);
    if (obstacle == DLK_PR_OBSTACLE_STRANGER)
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY,
                    "%s is registered%s by somebody who is not disklock (keys %s), a cluster or a guest that "
                    "reserves disks itself: end that, or have the policy lock this disk by another backend",
                    label, reserved, others);
    else if (others[0] != '\0')
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY,
                    "%s is registered%s by another host (keys %s): wait for it, or, if that host is dead, "
                    "remove it with disklockctl fence PATH HOSTID (its `disklockctl status` said the id)",
                    label, reserved, others);
    else
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_BUSY,
            "%s is registered%s with keys of this very host, by a path that it does not have: another "
            "host has the same id (see id= in the section [Host] of disklock.conf), or this one has "
            "lost a path; if no other host uses the disk, remove it with disklockctl fence",
            label, reserved);
    return FALSE;
}

const char *
dlk_reservation_loss(const DlkReservation *self, const DlkPrState *state)
{
    const char *loss = dlk_pr_state_loss(state, self->key, self->type);
    /* More registrations than we have made: another host goes by our id. */
    if (loss == NULL && dlk_pr_state_count(state, self->key) > self->nexus)
        return DLK_PR_LOSS_FOREIGN_KEY;
    return loss;
}

/*
 * @conflict: what a registration of @path ended with. Linux's own target registers, says that it failed where
 * it has no folder to keep registrations in, and is asked again by the kernel: then the key is its own
 * already, and to register it once more tells what is wrong.
 */
static gboolean
take_over_path(const DlkReservation *self, const DlkPrPath *path, const DlkPrState *state, GError *conflict,
               GError **error)
{
    g_autoptr(GError) why = conflict;
    g_autoptr(GError) local = NULL;
    if (dlk_pr_path_register(path, self->key, self->key, &local))
        return TRUE;
    for (guint i = 0; i < state->keys->len; i++) {
        const guint64 old = g_array_index(state->keys, guint64, i);
        if (dlk_pr_key_is_same_host(old, self->key) && dlk_pr_path_register(path, old, self->key, NULL))
            return TRUE;
    }
    if (g_error_matches(local, DLK_ERROR, DLK_ERROR_BUSY)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (path->linux_target)
        g_prefix_error(&local, "the target cannot keep registrations (has it a folder /var/target/pr?): ");
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
dlk_reservation_register_path(DlkReservation *self, const DlkPrPath *path, const DlkPrState *state,
                              GError **error)
{
    GError *local = NULL;
    if (!dlk_pr_path_register(path, 0, self->key, &local)) {
        if (!g_error_matches(local, DLK_ERROR, DLK_ERROR_BUSY)) {
            g_propagate_error(error, local);
            return FALSE;
        }
        if (!take_over_path(self, path, state, local, error))
            return FALSE;
    }
    g_array_append_val(self->registered, path->sequence);
    return TRUE;
}

gboolean
dlk_reservation_register(DlkReservation *self, GPtrArray *paths, const DlkPrState *state, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_array_set_size(self->registered, 0);
    for (guint i = 0; i < paths->len; i++) {
        g_autoptr(GError) local = NULL;
        if (dlk_reservation_register_path(self, paths->pdata[i], state, &local))
            continue;
        /* One that is another host's would have its writes refused, or, worse, not. */
        if (!g_error_matches(local, DLK_ERROR, DLK_ERROR_UNREACHABLE)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        g_clear_error(&failure);
        failure = g_steal_pointer(&local);
    }
    if (self->registered->len > 0)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/*
 * What an earlier life of this host has left on paths that it does not have any more. A key of our own on a
 * port that is not ours is another host's that goes by our id.
 */
static gboolean
clean_leftovers(const DlkReservation *self, GPtrArray *paths, const DlkPrState *state, const char *label,
                GError **error)
{
    g_autoptr(GPtrArray) registrants = NULL;
    for (guint i = 0; i < state->keys->len; i++) {
        const guint64 key = g_array_index(state->keys, guint64, i);
        if (key == self->key || !dlk_pr_key_is_same_host(key, self->key))
            continue;
        if (registrants == NULL)
            registrants = dlk_pr_paths_read_registrants(paths, NULL);
        if (registrants == NULL || !dlk_pr_registrants_are_same(registrants, key, self->key))
            return dlk_reservation_set_busy(self, state, label, error);
        g_autoptr(GError) local = NULL;
        if (!dlk_pr_paths_preempt(paths, self->key, key, self->type, &local) &&
            !g_error_matches(local, DLK_ERROR, DLK_ERROR_BUSY)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
    return TRUE;
}

/* NVMe knows a host by its id, by however many controllers it comes. */
static guint
most_registrations(const DlkReservation *self, GPtrArray *paths)
{
    const DlkPrPath *path = paths->pdata[0];
    return path->nvme ? 1 : self->registered->len;
}

/* Nobody else has it: registered, leftovers cleaned, reserved. */
static gboolean
reserve(DlkReservation *self, GPtrArray *paths, const char *label, GError **error)
{
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, error);
    if (state == NULL)
        return FALSE;
    const guint nexus = dlk_pr_state_count(state, self->key);
    if (nexus > most_registrations(self, paths))
        return dlk_reservation_set_busy(self, state, label, error);
    self->nexus = nexus;
    if (!clean_leftovers(self, paths, state, label, error))
        return FALSE;
    g_clear_pointer(&state, dlk_pr_state_free);
    state = dlk_pr_paths_read(paths, error);
    if (state == NULL)
        return FALSE;
    if (dlk_pr_state_is_held_by(state, self->key, self->type))
        return TRUE;
    if (state->type == DLK_PR_NONE) {
        g_autoptr(GError) local = NULL;
        if (dlk_pr_paths_reserve(paths, self->key, self->type, &local) ||
            g_error_matches(local, DLK_ERROR, DLK_ERROR_BUSY))
            return TRUE; /* somebody may have been faster: what is read next says so */
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (dlk_pr_state_obstacle(state, self->key, self->type) != DLK_PR_OBSTACLE_NONE ||
        (!dlk_pr_type_is_all(state->type) && state->holder != self->key))
        return dlk_reservation_set_busy(self, state, label, error);
    const DlkPrType type = self->type;
    self->type = state->type;
    return dlk_reservation_change_leftover(self, paths, state, type, error);
}

static gboolean
is_settled(const DlkReservation *self, const DlkPrState *state)
{
    return dlk_reservation_loss(self, state) == NULL &&
           dlk_pr_state_obstacle(state, self->key, self->type) == DLK_PR_OBSTACLE_NONE;
}

static gboolean
verify(const DlkReservation *self, GPtrArray *paths, const char *label, GError **error)
{
    g_autoptr(DlkPrState) state = NULL;
    for (guint i = 0; i < STEP_BACK_TRIES; i++) {
        g_clear_pointer(&state, dlk_pr_state_free);
        state = dlk_pr_paths_read(paths, error);
        if (state == NULL)
            return FALSE;
        if (is_settled(self, state))
            return TRUE;
        if (!dlk_pr_state_is_held_by(state, self->key, self->type))
            break;
        g_usleep(STEP_BACK_PAUSE_US);
    }
    return dlk_reservation_set_busy(self, state, label, error);
}

gboolean
dlk_reservation_take(DlkReservation *self, GPtrArray *paths, guint64 key, DlkPrType type, const char *label,
                     GError **error)
{
    g_autoptr(DlkPrState) before = dlk_pr_paths_read(paths, error);
    if (before == NULL)
        return FALSE;
    self->key = key;
    self->type = type;
    self->nexus = 0;
    /* Read first: who only asks again and again must not be in anybody's way. */
    if (dlk_pr_state_obstacle(before, key, type) != DLK_PR_OBSTACLE_NONE) {
        dlk_reservation_set_busy(self, before, label, error);
        self->key = 0;
        return FALSE;
    }
    g_autoptr(GError) failure = NULL;
    if (dlk_reservation_register(self, paths, before, &failure) && reserve(self, paths, label, &failure) &&
        verify(self, paths, label, &failure))
        return TRUE;
    if (g_error_matches(failure, DLK_ERROR, DLK_ERROR_BUSY) && self->registered->len == 0) {
        g_clear_error(&failure);
        dlk_reservation_set_busy(self, before, label, &failure);
    }
    (void)dlk_reservation_give_back(self, paths, label, NULL);
    self->key = 0;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}
