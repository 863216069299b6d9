#include "backend/reservation-parts.h"

#include "base/error.h"
#include "model/pr-key.h"

/*
 * Who holds a reservation of one registrant changes its type in one step by preempting himself (SPC-4,
 * 5.13.11.2.3), which takes away the registrations of all paths that have his key. One of all registrants is
 * preempted by the key 0, which takes away those of all others. Linux's own target refuses the key 0 where
 * nobody else is registered, and takes the holder's.
 */
static gboolean
preempt_oneself(const DlkReservation *self, GPtrArray *paths, DlkPrType type, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (!dlk_pr_type_is_all(self->type))
        return dlk_pr_paths_preempt(paths, self->key, self->key, type, error);
    if (dlk_pr_paths_preempt(paths, self->key, 0, type, &local))
        return TRUE;
    if (g_error_matches(local, DLK_ERROR, DLK_ERROR_BUSY) &&
        ((const DlkPrPath *)paths->pdata[0])->linux_target)
        return dlk_pr_paths_preempt(paths, self->key, self->key, type, error);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
dlk_reservation_change_leftover(DlkReservation *self, GPtrArray *paths, const DlkPrState *state,
                                DlkPrType type, GError **error)
{
    const gboolean in_one_step =
        dlk_pr_state_count(state, self->key) == 1 && preempt_oneself(self, paths, type, NULL);
    if (!in_one_step) {
        dlk_pr_paths_release(paths, self->key, self->type);
        if (!dlk_pr_paths_reserve(paths, self->key, type, error))
            return FALSE;
    }
    self->type = type;
    return TRUE;
}

/* Registers @path with @key, whether it is by ours or by that one already. */
static gboolean
set_key(const DlkReservation *self, const DlkPrPath *path, guint64 key, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (dlk_pr_path_register(path, self->key, key, &local) ||
        (g_error_matches(local, DLK_ERROR, DLK_ERROR_BUSY) && dlk_pr_path_register(path, key, key, NULL)))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* Every path that answers; one that does not keeps the old key, which is as good. */
static gboolean
change_key(DlkReservation *self, GPtrArray *paths, gboolean alone, GError **error)
{
    const guint64 key = dlk_pr_key_set_alone(self->key, alone);
    g_autoptr(GError) failure = NULL;
    guint changed = 0;
    for (guint i = 0; i < paths->len; i++) {
        g_clear_error(&failure);
        changed += set_key(self, paths->pdata[i], key, &failure);
    }
    if (changed > 0)
        self->key = key;
    else
        g_propagate_error(error, g_steal_pointer(&failure));
    return changed > 0;
}

static DlkPrState *
read_held(const DlkReservation *self, GPtrArray *paths, const char *label, GError **error)
{
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, error);
    const char *loss = state != NULL ? dlk_reservation_loss(self, state) : NULL;
    if (loss == NULL)
        return g_steal_pointer(&state);
    g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: %s", label, loss);
    return NULL;
}

/*
 * First the key says that the host wants the disk for itself, then it looks whether others share it; others
 * register first and then look at the keys. So one of two that meet sees the other, and steps back, before
 * either relies on anything.
 *
 * The type says so as well where that takes one step and nothing from the host's other paths, by which a
 * guest writes. Else it stays: nobody else is registered, and who would be looks at the keys.
 */
static gboolean
make_exclusive(DlkReservation *self, GPtrArray *paths, DlkPrType type, const char *label, GError **error)
{
    if (!change_key(self, paths, TRUE, error))
        return FALSE;
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, error);
    const gboolean is_free =
        state != NULL && dlk_pr_state_obstacle(state, self->key, type) == DLK_PR_OBSTACLE_NONE;
    if (!is_free) {
        if (state != NULL)
            dlk_reservation_set_busy(self, state, label, error);
        (void)change_key(self, paths, FALSE, NULL);
        return FALSE;
    }
    if (dlk_pr_state_count(state, self->key) == 1)
        (void)preempt_oneself(self, paths, type, NULL);
    return TRUE;
}

/* The path whose nexus holds the reservation; it has @key then, and the others have what they had. Borrowed;
 * %NULL: it does not answer. */
static const DlkPrPath *
give_holder_key(const DlkReservation *self, GPtrArray *paths, guint64 key)
{
    for (guint i = 0; i < paths->len; i++) {
        const DlkPrPath *path = paths->pdata[i];
        if (!dlk_pr_path_register(path, self->key, key, NULL))
            continue;
        g_autoptr(DlkPrState) state = dlk_pr_path_read(path, NULL);
        if (state != NULL && state->holder == key)
            return path;
        (void)dlk_pr_path_register(path, key, self->key, NULL);
    }
    return NULL;
}

/*
 * The holder preempts himself, by a key that no other path of the host has, so that none loses its
 * registration. Where his path does not answer, the others get the new key, and one of them preempts the old
 * one: that takes from the path that does not answer alone, which is registered again when it is back.
 */
static gboolean
make_shared(DlkReservation *self, GPtrArray *paths, DlkPrType type, GError **error)
{
    const guint64 old = self->key, key = dlk_pr_key_set_alone(old, FALSE);
    if (dlk_pr_type_is_all(self->type))
        return change_key(self, paths, FALSE, error);
    const DlkPrPath *holder = give_holder_key(self, paths, key);
    if (holder == NULL && !change_key(self, paths, FALSE, error))
        return FALSE;
    const gboolean done = holder != NULL ? dlk_pr_path_preempt(holder, key, key, type, error)
                                         : dlk_pr_paths_preempt(paths, key, old, type, error);
    self->key = key;
    if (!done) {
        (void)change_key(self, paths, TRUE, NULL);
        return FALSE;
    }
    self->type = type;
    self->key = old;
    return change_key(self, paths, FALSE, error);
}

gboolean
dlk_reservation_convert(DlkReservation *self, GPtrArray *paths, DlkPrType type, const char *label,
                        GError **error)
{
    g_autoptr(DlkPrState) state = read_held(self, paths, label, error);
    if (state == NULL)
        return FALSE;
    const gboolean alone = !dlk_pr_type_is_all(type);
    if (alone == dlk_pr_key_is_alone(self->key))
        return TRUE;
    const gboolean changed =
        alone ? make_exclusive(self, paths, type, label, error) : make_shared(self, paths, type, error);
    /* Not what the commands returned. */
    g_clear_pointer(&state, dlk_pr_state_free);
    state = dlk_pr_paths_read(paths, NULL);
    if (state != NULL && dlk_pr_state_is_held_by(state, self->key, type))
        self->type = type;
    if (!changed)
        return FALSE;
    g_clear_pointer(&state, dlk_pr_state_free);
    state = read_held(self, paths, label, error);
    return state != NULL;
}

/* Paths that did not answer stay registered: whoever preempts a key takes it from all of them. Our own comes
 * last: where nobody has reserved, it goes as well. */
static void
purge(const DlkReservation *self, const DlkPrPath *path)
{
    const guint64 other = dlk_pr_key_set_alone(self->key, !dlk_pr_key_is_alone(self->key));
    (void)dlk_pr_path_preempt(path, self->key, other, self->type, NULL);
    (void)dlk_pr_path_preempt(path, self->key, self->key, self->type, NULL);
    if (!dlk_pr_type_is_all(self->type))
        (void)dlk_pr_path_release(path, self->key, self->type, NULL);
}

static void
unregister(const DlkReservation *self, const DlkPrPath *path)
{
    const guint64 other = dlk_pr_key_set_alone(self->key, !dlk_pr_key_is_alone(self->key));
    g_autoptr(GError) error = NULL;
    if (!dlk_pr_path_register(path, self->key, 0, &error) &&
        g_error_matches(error, DLK_ERROR, DLK_ERROR_BUSY))
        (void)dlk_pr_path_register(path, other, 0, NULL);
}

/* The first path that answers, borrowed; or %NULL. */
static const DlkPrPath *
find_answering(GPtrArray *paths, GError **error)
{
    for (guint i = 0; i < paths->len; i++) {
        g_clear_error(error);
        g_autoptr(DlkPrState) state = dlk_pr_path_read(paths->pdata[i], error);
        if (state != NULL)
            return paths->pdata[i];
    }
    return NULL;
}

gboolean
dlk_reservation_give_back(DlkReservation *self, GPtrArray *paths, const char *label, GError **error)
{
    const DlkPrPath *last = find_answering(paths, error);
    if (last == NULL)
        return FALSE;
    /* Of all registrants' it would be everybody's that goes; that ends with the last registration. */
    if (!dlk_pr_type_is_all(self->type))
        dlk_pr_paths_release(paths, self->key, self->type);
    for (guint i = 0; i < paths->len; i++)
        if (paths->pdata[i] != last)
            unregister(self, paths->pdata[i]);
    /* More than were ever ours are another host's that goes by our id. */
    g_autoptr(DlkPrState) state = dlk_pr_path_read(last, NULL);
    const guint count = state != NULL ? dlk_pr_state_count(state, self->key) : 0;
    if (count > 1 && count <= self->nexus)
        purge(self, last);
    unregister(self, last);
    g_autoptr(DlkPrState) after = dlk_pr_paths_read(paths, error);
    if (after == NULL)
        return FALSE;
    if (count <= self->nexus && dlk_pr_state_count(after, self->key) > 0) {
        g_set_error(
            error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
            "%s: this host stays registered by a path that does not answer; once it is back, lock and "
            "release the disk, or remove it with disklockctl fence",
            label);
        return FALSE;
    }
    self->key = 0;
    return TRUE;
}
