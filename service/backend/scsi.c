#include "backend/scsi.h"

#include "backend/host-key.h"
#include "backend/lun.h"
#include "backend/registration-note.h"
#include "base/error.h"
#include "base/text.h"
#include "model/pr-key.h"

struct _DlkScsiBackend {
    DlkBackend parent_instance;
    DlkLuns *luns;
};

G_DEFINE_TYPE(DlkScsiBackend, dlk_scsi_backend, DLK_TYPE_BACKEND)

static char *
label_of(const DlkTarget *target)
{
    return dlk_text_printable(dlk_disk_label(target->disk), 0);
}

/* The types that leases may take under @rule. */
static guint
types_wanted(const DlkRule *rule)
{
    guint types = 0;
    for (guint mode = 0; mode < DLK_N_MODES; mode++)
        if (rule->modes & 1U << mode)
            types |= 1U << dlk_pr_type_for(mode, rule->strict_readers);
    return types & ~(1U << DLK_PR_NONE);
}

static gboolean
scsi_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    guint types = 0;
    g_autoptr(GError) local = NULL;
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(target, error);
    if (paths == NULL)
        return FALSE;
    g_autofree char *label = label_of(target);
    if (!dlk_pr_paths_read_types(paths, &types, &local)) {
        g_propagate_prefixed_error(error, g_steal_pointer(&local),
                                   "%s has no persistent reservations: ", label);
        return FALSE;
    }
    if ((types_wanted(rule) & ~types) == 0)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                "%s has persistent reservations, but not of the types that the policy's rule \"%s\" needs",
                label, rule->name);
    return FALSE;
}

void
dlk_scsi_forget_if_gone(const char *disk_id, GPtrArray *paths, guint64 key)
{
    g_autoptr(DlkPrState) state = dlk_pr_paths_read(paths, NULL);
    if (state != NULL && dlk_pr_state_count(state, dlk_pr_key_set_alone(key, TRUE)) == 0 &&
        dlk_pr_state_count(state, dlk_pr_key_set_alone(key, FALSE)) == 0)
        dlk_registration_note_remove(disk_id);
}

static gboolean
take_noted(DlkLun *lun, const DlkHold *hold, GPtrArray *paths, guint64 key, DlkPrType type, const char *label,
           GError **error)
{
    if (!dlk_registration_note_make(hold->target->disk, error))
        return FALSE;
    if (dlk_reservation_take(lun->reservation, paths, key, type, label, error))
        return TRUE;
    dlk_scsi_forget_if_gone(lun->disk_id, paths, key);
    return FALSE;
}

/* The first lease takes the reservation, those after it share it. */
static gboolean
join(DlkLun *lun, DlkHold *hold, GPtrArray *paths, DlkPrType type, const char *label, GError **error)
{
    guint64 key = 0;
    g_autofree char *reason = NULL;
    DlkReservation *reservation = lun->reservation;
    if (g_hash_table_size(lun->holds) == 0)
        return dlk_host_key_get(!dlk_pr_type_is_all(type), &key, error) &&
               take_noted(lun, hold, paths, key, type, label, error);
    if (!dlk_pr_type_is_all(type) || dlk_pr_key_is_alone(reservation->key) || reservation->type != type) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s is reserved by another lease of this service",
                    label);
        return FALSE;
    }
    if (dlk_reservation_check(reservation, paths, &reason) == DLK_CHECK_HELD)
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s: another lease of this host has lost it (%s)", label,
                reason);
    return FALSE;
}

static gboolean
scsi_serves(DlkBackend *self, DlkMode mode, gboolean strict)
{
    return dlk_pr_type_for(mode, strict) != DLK_PR_NONE;
}

static gboolean
cannot_be_said(const char *label, GError **error)
{
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
        "%s: no reservation lets many read and nobody write; for read-only leases have the policy's rule "
        "combine it with a lockspace (backend=scsi+lockspace)",
        label);
    return FALSE;
}

typedef struct {
    DlkLuns *luns;
    char *disk_id;
    DlkHold *hold; /* that this belongs to */
} Membership;

/* A hold that is dropped without a release: what the host has of the disk stays. */
static void
membership_free(gpointer data)
{
    Membership *membership = data;
    DlkLun *lun = dlk_luns_lock(membership->luns, membership->disk_id);
    g_hash_table_remove(lun->holds, membership->hold);
    dlk_luns_unlock(membership->luns, lun);
    g_free(membership->disk_id);
    g_free(membership);
}

/* With the LUN locked. */
static void
add_to(DlkLun *lun, DlkLuns *luns, DlkHold *hold)
{
    Membership *membership = g_new0(Membership, 1);
    *membership = (Membership){luns, g_strdup(lun->disk_id), hold};
    dlk_hold_set_state(hold, membership, membership_free);
    g_hash_table_add(lun->holds, hold);
    hold->key = lun->reservation->key;
}

/* How @hold comes by its part of the LUN's reservation. */
typedef gboolean (*Join)(DlkLun *lun, DlkHold *hold, GPtrArray *paths, DlkPrType type, const char *label,
                         GError **error);

static gboolean
enter(DlkBackend *backend, DlkHold *hold, Join how, GError **error)
{
    DlkScsiBackend *self = DLK_SCSI_BACKEND(backend);
    const DlkPrType type = dlk_pr_type_for(hold->mode, hold->strict);
    g_autofree char *label = label_of(hold->target);
    if (type == DLK_PR_NONE)
        return cannot_be_said(label, error);
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(hold->target, error);
    if (paths == NULL)
        return FALSE;
    DlkLun *lun = dlk_luns_lock(self->luns, hold->target->disk->id);
    const gboolean entered = how(lun, hold, paths, type, label, error);
    if (entered)
        add_to(lun, self->luns, hold);
    dlk_luns_unlock(self->luns, lun);
    return entered;
}

static gboolean
scsi_acquire(DlkBackend *backend, DlkHold *hold, const DlkRule *rule, GError **error)
{
    return enter(backend, hold, join, error);
}

/* The first lease that is taken up takes the reservation up, those after it share it. */
static gboolean
rejoin(DlkLun *lun, DlkHold *hold, GPtrArray *paths, DlkPrType type, const char *label, GError **error)
{
    guint64 key = 0;
    if (g_hash_table_size(lun->holds) == 0)
        return dlk_host_key_get(!dlk_pr_type_is_all(type), &key, error) &&
               dlk_reservation_adopt(lun->reservation, paths, key, type, label, error);
    if (dlk_pr_type_is_all(type) && !dlk_pr_key_is_alone(lun->reservation->key))
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s is reserved by another lease of this service", label);
    return FALSE;
}

static gboolean
scsi_adopt(DlkBackend *backend, DlkHold *hold, int *fds, const DlkRule *rule, GError **error)
{
    return enter(backend, hold, rejoin, error);
}

static DlkCheck
scsi_check(DlkBackend *backend, DlkHold *hold, char **reason)
{
    DlkScsiBackend *self = DLK_SCSI_BACKEND(backend);
    DlkCheck answer = DLK_CHECK_UNKNOWN;
    DlkLun *lun = dlk_luns_lock(self->luns, hold->target->disk->id);
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(hold->target, NULL);
    if (!g_hash_table_contains(lun->holds, hold)) {
        *reason = g_strdup(DLK_REASON_NOT_LOCKED);
        answer = DLK_CHECK_LOST;
    } else if (paths == NULL) {
        *reason = g_strdup(DLK_REASON_STORAGE_ERROR "no path answers");
    } else {
        answer = dlk_reservation_check(lun->reservation, paths, reason);
    }
    dlk_luns_unlock(self->luns, lun);
    return answer;
}

/* With the LUN locked. */
static gboolean
convert(DlkLun *lun, DlkHold *hold, DlkPrType type, const char *label, GError **error)
{
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(hold->target, error);
    if (paths == NULL)
        return FALSE;
    if (g_hash_table_size(lun->holds) == 1)
        return dlk_reservation_convert(lun->reservation, paths, type, label, error);
    g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s is shared with another lease of this service", label);
    return FALSE;
}

static gboolean
scsi_convert(DlkBackend *backend, DlkHold *hold, DlkMode mode, GError **error)
{
    DlkScsiBackend *self = DLK_SCSI_BACKEND(backend);
    const DlkPrType type = dlk_pr_type_for(mode, hold->strict);
    g_autofree char *label = label_of(hold->target);
    if (type == DLK_PR_NONE)
        return cannot_be_said(label, error);
    DlkLun *lun = dlk_luns_lock(self->luns, hold->target->disk->id);
    const gboolean converted = convert(lun, hold, type, label, error);
    if (converted)
        hold->mode = mode;
    hold->key = lun->reservation->key;
    dlk_luns_unlock(self->luns, lun);
    return converted;
}

/* With the LUN locked. What the hold was part of is no longer counted with, whatever the disk says to it. */
static gboolean
leave(DlkLun *lun, DlkHold *hold, const char *label, GError **error)
{
    if (!g_hash_table_remove(lun->holds, hold) || g_hash_table_size(lun->holds) > 0)
        return TRUE;
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(hold->target, error);
    const guint64 key = lun->reservation->key;
    if (paths == NULL || !dlk_reservation_give_back(lun->reservation, paths, label, error))
        return FALSE;
    dlk_scsi_forget_if_gone(lun->disk_id, paths, key);
    return TRUE;
}

static gboolean
scsi_release(DlkBackend *backend, DlkHold *hold, GError **error)
{
    DlkScsiBackend *self = DLK_SCSI_BACKEND(backend);
    g_autofree char *label = label_of(hold->target);
    DlkLun *lun = dlk_luns_lock(self->luns, hold->target->disk->id);
    const gboolean left = leave(lun, hold, label, error);
    dlk_luns_unlock(self->luns, lun);
    dlk_hold_set_state(hold, NULL, NULL);
    return left;
}

gboolean
dlk_scsi_drop_leftover(DlkBackend *backend, const DlkTarget *target, GError **error)
{
    guint64 key = 0;
    g_autofree char *label = label_of(target);
    g_autoptr(GPtrArray) paths = dlk_pr_paths_open(target, error);
    if (paths == NULL || !dlk_host_key_get(FALSE, &key, error))
        return FALSE;
    DlkLun *lun = dlk_luns_lock(DLK_SCSI_BACKEND(backend)->luns, target->disk->id);
    /* Somebody may have locked it meanwhile: then it is his. */
    const gboolean done = g_hash_table_size(lun->holds) > 0 ||
                          dlk_reservation_drop_leftover(lun->reservation, paths, key, label, error);
    if (done && g_hash_table_size(lun->holds) == 0)
        dlk_scsi_forget_if_gone(lun->disk_id, paths, key);
    dlk_luns_unlock(DLK_SCSI_BACKEND(backend)->luns, lun);
    return done;
}

DlkLuns *
dlk_scsi_backend_luns(DlkScsiBackend *self)
{
    return self->luns;
}

static void
dlk_scsi_backend_finalize(GObject *object)
{
    DlkScsiBackend *self = DLK_SCSI_BACKEND(object);
    dlk_luns_free(self->luns);
    G_OBJECT_CLASS(dlk_scsi_backend_parent_class)->finalize(object);
}

static void
dlk_scsi_backend_class_init(DlkScsiBackendClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = dlk_scsi_backend_finalize;
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->name = "scsi";
    backend->reaches_other_hosts = TRUE;
    backend->serves = scsi_serves;
    backend->probe = scsi_probe;
    backend->acquire = scsi_acquire;
    backend->check = scsi_check;
    backend->convert = scsi_convert;
    backend->release = scsi_release;
    backend->adopt = scsi_adopt;
    backend->holders = dlk_scsi_holders;
    backend->fence = dlk_scsi_fence;
}

static void
dlk_scsi_backend_init(DlkScsiBackend *self)
{
    self->luns = dlk_luns_new();
}
