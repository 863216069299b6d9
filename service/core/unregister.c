#include "backend/backends.h"
#include "backend/registration-note.h"
#include "backend/scsi.h"
#include "base/error.h"
#include "core/holding.h"
#include "core/recover.h"
#include "host/identify.h"

/* The lease has a lock, or may have one: what its disk is registered with is its. */
static gboolean
explains(const DlkLease *lease)
{
    return dlk_holding(lease) != NULL && lease->state != DLK_STATE_SUSPENDED;
}

static GHashTable *
find_explained(DlkEngine *engine)
{
    GHashTable *disks = g_hash_table_new(g_str_hash, g_str_equal);

    for (const DlkLease *lease = dlk_table_next(engine->table, 0); lease;
         lease = dlk_table_next(engine->table, lease->token))
        if (explains(lease))
            g_hash_table_add(disks, lease->disk->id);
    return disks;
}

typedef struct {
    DlkRegistrationNote *note;
    DlkMounts *mounts;
    char *lane;
} Input;

static void
input_free(gpointer data)
{
    Input *input = data;

    dlk_registration_note_free(input->note);
    dlk_mounts_unref(input->mounts);
    g_free(input->lane);
    g_free(input);
}

static gboolean
unregister(const Input *input, GError **error)
{
    const DlkRegistrationNote *note = input->note;
    g_autofree char *elsewhere = NULL;
    g_autoptr(DlkTarget) target =
        dlk_identify_path(input->mounts, note->path, input->lane, &elsewhere, error);

    if (target && g_str_equal(target->disk->id, note->disk_id))
        return dlk_scsi_drop_leftover(dlk_backends_get("scsi"), target, error);
    if (!error || !*error)
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE, "%s is another disk now", note->path);
    return FALSE;
}

static gpointer
run(gpointer data, GError **error)
{
    const Input *input = data;
    g_autoptr(GError) problem = NULL;

    if (!unregister(input, &problem))
        g_warning("This host may still be registered with the disk that was %s (%s), by a service that was "
                  "killed: %s; the next start tries again, and so does who locks and releases the disk",
                  input->note->path, input->note->disk_id, problem->message);
    return NULL;
}

static const DlkJob unregister_job = {"unregister", run, input_free, NULL};

void
dlk_unregister_leftovers(DlkEngine *engine, DlkRecovery *recovery)
{
    g_autoptr(GPtrArray) notes = dlk_registration_note_list();
    g_autoptr(GHashTable) explained = notes->len > 0 ? find_explained(engine) : NULL;
    DlkMounts *mounts = dlk_mount_table_get(engine->mounts);

    while (notes->len > 0) {
        g_autoptr(DlkRegistrationNote) note = g_ptr_array_steal_index_fast(notes, notes->len - 1);
        const DlkMount *mount = note->path[0] == '/' ? dlk_mounts_of_path(mounts, note->path) : NULL;

        if (!mount || g_hash_table_contains(explained, note->disk_id))
            continue;
        Input *input = g_new0(Input, 1);
        g_autofree char *lane = g_strconcat("registered:", note->disk_id, NULL);

        *input = (Input){g_steal_pointer(&note), dlk_mounts_ref(mounts), g_strdup(mount->lane)};
        dlk_recovery_run(recovery, &unregister_job, input, lane);
    }
}
