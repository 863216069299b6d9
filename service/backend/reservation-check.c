#include "backend/reservation-parts.h"

#include "backend/host-key.h"
#include "base/error.h"

/* A host that is about to step back is registered for a moment. */
#define FOREIGN_TRIES 10
#define FOREIGN_PAUSE_US (100 * G_TIME_SPAN_MILLISECOND)

static gboolean
is_registered(const DlkReservation *self, const DlkPrPath *path)
{
    for (guint i = 0; i < self->registered->len; i++)
        if (g_array_index(self->registered, guint64, i) == path->sequence)
            return TRUE;
    return FALSE;
}

/*
 * Registers a path that has come since. It must be one registration more than before, or all have been taken
 * away in between: who was fenced must not register anew as if nothing had happened.
 */
static gboolean
add_path(DlkReservation *self, const DlkPrPath *path)
{
    g_autoptr(DlkPrState) before = dlk_pr_path_read(path, NULL);
    g_autoptr(GError) error = NULL;
    if (before == NULL || dlk_reservation_loss(self, before) != NULL)
        return TRUE; /* what the next check finds */
    if (!dlk_pr_path_register(path, 0, self->key, &error)) {
        if (g_error_matches(error, DLK_ERROR, DLK_ERROR_BUSY))
            g_array_append_val(self->registered, path->sequence); /* it is already */
        return TRUE;
    }
    g_autoptr(DlkPrState) after = dlk_pr_path_read(path, NULL);
    if (after != NULL && dlk_pr_state_count(after, self->key) == dlk_pr_state_count(before, self->key) + 1) {
        g_array_append_val(self->registered, path->sequence);
        self->nexus = dlk_pr_state_count(after, self->key);
        return TRUE;
    }
    /* One that NVMe counts with the others is told by nothing. */
    if (after != NULL && path->nvme && dlk_reservation_loss(self, after) == NULL) {
        g_array_append_val(self->registered, path->sequence);
        return TRUE;
    }
    (void)dlk_pr_path_register(path, self->key, 0, NULL);
    return FALSE;
}

static gboolean
add_paths(DlkReservation *self, GPtrArray *paths)
{
    for (guint i = 0; i < paths->len; i++)
        if (!is_registered(self, paths->pdata[i]) && !add_path(self, paths->pdata[i]))
            return FALSE;
    return TRUE;
}

static DlkCheck
lost(const DlkReservation *self, const char *why, char **reason)
{
    *reason = g_strdup(why);
    if (g_str_equal(why, DLK_PR_LOSS_PREEMPTED) || g_str_equal(why, DLK_PR_LOSS_KEY))
        dlk_host_key_fenced(self->key);
    return DLK_CHECK_LOST;
}

DlkCheck
dlk_reservation_check(DlkReservation *self, GPtrArray *paths, char **reason)
{
    const char *loss = NULL;
    for (guint i = 0; i < paths->len; i++)
        dlk_pr_path_clear_events(paths->pdata[i]);
    for (guint i = 0; i < FOREIGN_TRIES; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, &error);
        if (state == NULL) {
            /* Not the error's own words, which name devices. */
            *reason = g_strdup(DLK_REASON_STORAGE_ERROR "no path answers");
            return DLK_CHECK_UNKNOWN;
        }
        loss = dlk_reservation_loss(self, state);
        if (loss == NULL) {
            /* The target has forgotten a path. */
            if (dlk_pr_state_count(state, self->key) < self->nexus) {
                self->nexus = dlk_pr_state_count(state, self->key);
                g_array_set_size(self->registered, 0);
            }
            return add_paths(self, paths) ? DLK_CHECK_HELD : lost(self, DLK_PR_LOSS_PREEMPTED, reason);
        }
        if (!g_str_equal(loss, DLK_PR_LOSS_FOREIGN_KEY))
            break;
        g_usleep(FOREIGN_PAUSE_US);
    }
    return lost(self, loss, reason);
}
