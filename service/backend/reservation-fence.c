#include "backend/reservation-parts.h"

#include "base/error.h"
#include "model/pr-key.h"

static guint
count_of_host(const DlkPrState *state, const char *host)
{
    guint count = 0;
    for (guint i = 0; i < state->keys->len; i++)
        count += dlk_pr_key_is_of(g_array_index(state->keys, guint64, i), host);
    return count;
}

/* By the first path that answers. */
static gboolean
register_meanwhile(DlkReservation *self, GPtrArray *paths, const DlkPrState *state, GError **error)
{
    g_autoptr(GError) failure = NULL;
    for (guint i = 0; i < paths->len; i++) {
        g_clear_error(&failure);
        if (dlk_reservation_register_path(self, paths->pdata[i], state, &failure))
            return TRUE;
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

/*
 * Each key that @host is registered with, by the path of @self. What was reserved by it is reserved by @self
 * then, in the type that it had: where all registrants hold it, that is what it must go on to be.
 */
static gboolean
preempt_all(const DlkReservation *self, GPtrArray *paths, const DlkPrState *state, const char *host,
            GError **error)
{
    const DlkPrType type = state->type != DLK_PR_NONE ? state->type : DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    for (guint i = 0; i < state->keys->len; i++) {
        guint64 *key = &g_array_index(state->keys, guint64, i);
        g_autoptr(GError) local = NULL;
        /* Our own is on a path that has just got it, and maybe on others: last. */
        if (*key == self->key || !dlk_pr_key_is_of(*key, host) || !g_hash_table_add(seen, key))
            continue;
        /* A conflict: it has gone meanwhile. */
        if (!dlk_pr_paths_preempt_and_abort(paths, self->key, *key, type, &local) &&
            !g_error_matches(local, DLK_ERROR, DLK_ERROR_BUSY)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
    }
    if (dlk_pr_key_is_of(self->key, host))
        (void)dlk_pr_paths_preempt_and_abort(paths, self->key, self->key, type, NULL);
    return TRUE;
}

static gboolean
fence_by(DlkReservation *self, GPtrArray *paths, const char *host, guint left_over, const char *label,
         guint *removed, GError **error)
{
    g_autoptr(DlkPrState) before = dlk_pr_paths_read(paths, error);
    if (before == NULL || !preempt_all(self, paths, before, host, error))
        return FALSE;
    g_autoptr(DlkPrState) after = dlk_pr_paths_read(paths, error);
    if (after == NULL)
        return FALSE;
    const guint was = count_of_host(before, host), is = count_of_host(after, host);
    *removed = was > is ? was - is : 0;
    if (is <= left_over)
        return TRUE;
    g_autofree char *keys = dlk_pr_state_describe_others(after, self->key);
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_UNREACHABLE,
        "%s: host %s is still registered (keys %s), or is again: stop it by other means, and then try "
        "again",
        label, host, keys);
    return FALSE;
}

static gboolean
fence_unheld(GPtrArray *paths, guint64 key, const DlkPrState *state, const char *host, const char *label,
             guint *removed, GError **error)
{
    g_autoptr(DlkReservation) self = dlk_reservation_new();
    g_autoptr(GError) local = NULL;
    self->key = key;
    self->type = DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS;
    if (!register_meanwhile(self, paths, state, error))
        return FALSE;
    self->nexus = 1;
    /* Of this host itself the registration is left that has just been made, and goes now. */
    const gboolean own = dlk_pr_key_is_of(key, host);
    const gboolean fenced = fence_by(self, paths, host, own ? 1 : 0, label, removed, error);
    if (!dlk_reservation_give_back(self, paths, label, &local))
        g_message("%s", local->message);
    if (own && fenced)
        *removed = count_of_host(state, host);
    return fenced;
}

gboolean
dlk_reservation_fence(DlkReservation *self, GPtrArray *paths, guint64 key, gboolean held, const char *host,
                      const char *label, guint *removed, GError **error)
{
    *removed = 0;
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, error);
    if (state == NULL)
        return FALSE;
    if (count_of_host(state, host) == 0)
        return TRUE;
    if (!held)
        return fence_unheld(paths, key, state, host, label, removed, error);
    if (!dlk_pr_key_is_of(self->key, host))
        return fence_by(self, paths, host, 0, label, removed, error);
    g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY,
                "%s is held by a lease of this very host, which is %s: release it, or break it", label, host);
    return FALSE;
}
