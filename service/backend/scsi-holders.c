#include "backend/host-key.h"
#include "backend/lun.h"
#include "backend/registration-note.h"
#include "backend/scsi.h"
#include "base/text.h"
#include "model/pr-key.h"

/* The target itself tells it, so that it is no hint; but no more than a key. */
static void
add_holder(GPtrArray *holders, guint64 key)
{
    DlkHolder *holder = dlk_holder_new(dlk_pr_key_is_alone(key) ? DLK_MODE_EXCLUSIVE : DLK_MODE_SHARED);
    holder->key = key;
    holder->host = dlk_host_key_owner(key);
    /* What this host has left from an earlier life keeps nobody away who asks from here. */
    holder->confirmed = holder->host == NULL;
    g_ptr_array_add(holders, holder);
}

static gboolean
is_of_a_lease(const DlkLun *lun, guint64 key)
{
    return g_hash_table_size(lun->holds) > 0 && dlk_pr_key_is_same_life(key, lun->reservation->key);
}

gboolean
dlk_scsi_holders(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                 GError **error)
{
    DlkLuns *luns = dlk_scsi_backend_luns(DLK_SCSI_BACKEND(backend));
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(target, error);
    if (paths == NULL)
        return FALSE;
    DlkLun *lun = dlk_luns_lock(luns, target->disk->id);
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, error);
    for (guint i = 0; state != NULL && i < state->keys->len; i++) {
        guint64 *key = &g_array_index(state->keys, guint64, i);
        if (!is_of_a_lease(lun, *key) && g_hash_table_add(seen, key))
            add_holder(holders, *key);
    }
    dlk_luns_unlock(luns, lun);
    return state != NULL;
}

gboolean
dlk_scsi_fence(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, const char *host,
               guint *removed, GError **error)
{
    DlkLuns *luns = dlk_scsi_backend_luns(DLK_SCSI_BACKEND(backend));
    guint64 key = 0;
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(target, error);
    if (paths == NULL || !dlk_host_key_get(FALSE, &key, error))
        return FALSE;
    DlkLun *lun = dlk_luns_lock(luns, target->disk->id);
    const gboolean held = g_hash_table_size(lun->holds) > 0;
    /* It registers for that time. */
    const gboolean fenced =
        (held || dlk_registration_note_make(target->disk, error)) &&
        dlk_reservation_fence(lun->reservation, paths, key, held, host, label, removed, error);
    if (!held)
        dlk_scsi_forget_if_gone(lun->disk_id, paths, key);
    dlk_luns_unlock(luns, lun);
    return fenced;
}
