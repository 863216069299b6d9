#include "backend/reservation-parts.h"

#include "base/error.h"
#include "model/pr-key.h"

/* The paths that are registered with the key: to change it to itself succeeds only where it is that path's.
 */
static void
find_registered(DlkReservation *self, GPtrArray *paths)
{
    g_array_set_size(self->registered, 0);
    for (guint i = 0; i < paths->len; i++) {
        const DlkPrPath *path = paths->pdata[i];
        if (dlk_pr_path_register(path, self->key, self->key, NULL))
            g_array_append_val(self->registered, path->sequence);
    }
}

/*
 * By which key and type the disk is held: the bit "alone" and the type may be those of a conversion that was
 * cut short, the generation that of before a fencing that did not concern this disk.
 */
static gboolean
find_held(DlkReservation *self, GPtrArray *paths, const DlkPrState *state, guint64 key)
{
    self->type = state->type;
    self->nexus = G_MAXUINT;
    for (guint i = 0; i < state->keys->len; i++) {
        self->key = g_array_index(state->keys, guint64, i);
        if (!dlk_pr_key_is_same_host(self->key, key) || dlk_reservation_loss(self, state) != NULL)
            continue;
        find_registered(self, paths);
        if (self->registered->len > 0) {
            self->nexus = dlk_pr_state_count(state, self->key);
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
dlk_reservation_adopt(DlkReservation *self, GPtrArray *paths, guint64 key, DlkPrType type, const char *label,
                      GError **error)
{
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, error);
    if (state == NULL)
        return FALSE;
    if (find_held(self, paths, state, key))
        return dlk_reservation_convert(self, paths, type, label, error);
    self->key = key;
    self->type = type;
    self->nexus = 0;
    g_array_set_size(self->registered, 0);
    return TRUE;
}

/* From our own paths alone, one by one: what is preempted goes from everybody's. */
static gboolean
drop_key(DlkReservation *self, GPtrArray *paths, guint64 key, const char *label, GError **error)
{
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, error);
    if (state == NULL)
        return FALSE;
    if (dlk_pr_state_count(state, key) == 0)
        return TRUE;
    self->key = key;
    self->type = state->type;
    find_registered(self, paths);
    self->nexus = 1;
    if (self->registered->len > 0 && !dlk_reservation_give_back(self, paths, label, error))
        return FALSE;
    self->key = 0;
    return TRUE;
}

gboolean
dlk_reservation_drop_leftover(DlkReservation *self, GPtrArray *paths, guint64 key, const char *label,
                              GError **error)
{
    return drop_key(self, paths, dlk_pr_key_set_alone(key, TRUE), label, error) &&
           drop_key(self, paths, dlk_pr_key_set_alone(key, FALSE), label, error);
}
