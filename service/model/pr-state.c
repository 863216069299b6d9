#include "model/pr-state.h"

#include "model/pr-key.h"

#define MAX_SHOWN_KEYS 8

DlkPrState *
dlk_pr_state_new(void)
{
    DlkPrState *self = g_new0(DlkPrState, 1);
    self->keys = g_array_new(FALSE, FALSE, sizeof(guint64));
    return self;
}

void
dlk_pr_state_free(DlkPrState *self)
{
    g_array_unref(self->keys);
    g_free(self);
}

static guint64
key_at(const DlkPrState *self, guint index)
{
    return g_array_index(self->keys, guint64, index);
}

guint
dlk_pr_state_count(const DlkPrState *self, guint64 key)
{
    guint count = 0;
    for (guint i = 0; i < self->keys->len; i++)
        count += dlk_pr_key_is_same_life(key_at(self, i), key);
    return count;
}

gboolean
dlk_pr_state_is_held_by(const DlkPrState *self, guint64 key, DlkPrType type)
{
    return self->type == type && dlk_pr_state_count(self, key) > 0 &&
           (dlk_pr_type_is_all(type) || dlk_pr_key_is_same_life(self->holder, key));
}

static DlkPrObstacle
key_obstacle(guint64 other, guint64 key)
{
    if (dlk_pr_key_is_same_host(other, key))
        return DLK_PR_OBSTACLE_NONE;
    if (!dlk_pr_key_is_known(other))
        return DLK_PR_OBSTACLE_STRANGER;
    return dlk_pr_key_is_alone(key) || dlk_pr_key_is_alone(other) ? DLK_PR_OBSTACLE_HOST
                                                                  : DLK_PR_OBSTACLE_NONE;
}

/* What our own host has left from an earlier life is changed to what is wanted. */
static gboolean
reservation_is_in_the_way(const DlkPrState *self, guint64 key, DlkPrType type)
{
    if (self->type == DLK_PR_NONE || self->type == type)
        return FALSE;
    for (guint i = 0; i < self->keys->len; i++)
        if (!dlk_pr_key_is_same_host(key_at(self, i), key))
            return TRUE;
    return FALSE;
}

DlkPrObstacle
dlk_pr_state_obstacle(const DlkPrState *self, guint64 key, DlkPrType type)
{
    DlkPrObstacle found = DLK_PR_OBSTACLE_NONE;
    for (guint i = 0; i < self->keys->len; i++)
        found = MAX(found, key_obstacle(key_at(self, i), key));
    if (found == DLK_PR_OBSTACLE_NONE && reservation_is_in_the_way(self, key, type))
        return DLK_PR_OBSTACLE_HOST;
    return found;
}

const char *
dlk_pr_state_loss(const DlkPrState *self, guint64 key, DlkPrType type)
{
    if (dlk_pr_state_count(self, key) == 0)
        return self->keys->len > 0 ? DLK_PR_LOSS_PREEMPTED : DLK_PR_LOSS_KEY;
    if (self->type == DLK_PR_NONE)
        return DLK_PR_LOSS_RESERVATION;
    if (!dlk_pr_state_is_held_by(self, key, type))
        return DLK_PR_LOSS_PREEMPTED;
    for (guint i = 0; i < self->keys->len; i++) {
        const guint64 other = key_at(self, i);
        if (!dlk_pr_key_is_same_host(other, key) && (dlk_pr_key_is_alone(key) || !dlk_pr_key_is_known(other)))
            return DLK_PR_LOSS_FOREIGN_KEY;
    }
    return NULL;
}

char *
dlk_pr_state_describe_others(const DlkPrState *self, guint64 key)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < self->keys->len; i++) {
        guint64 *other = &g_array_index(self->keys, guint64, i);
        if (dlk_pr_key_is_same_host(*other, key) || !g_hash_table_add(seen, other))
            continue;
        if (g_hash_table_size(seen) > MAX_SHOWN_KEYS) {
            g_string_append_printf(text, ", …");
            break;
        }
        g_autofree char *shown = dlk_pr_key_format(*other);
        g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", shown);
    }
    return g_string_free(text, FALSE);
}
