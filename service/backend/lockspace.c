#include "backend/lockspace.h"

#include "backend/holder-slots.h"
#include "backend/image-locks.h"
#include "backend/lease-locks.h"
#include "backend/lock-file.h"
#include "backend/lockspace-folder.h"
#include "backend/shared-identity.h"
#include "backend/shared-locks.h"
#include "base/error.h"
#include "base/text.h"
#include "model/holder-record.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct _DlkLockspaceBackend {
    DlkBackend parent_instance;
};

G_DEFINE_TYPE(DlkLockspaceBackend, dlk_lockspace_backend, DLK_TYPE_BACKEND)

/* How often a lock file may be replaced while it is being locked. */
#define MAX_TRIES 8

/* What a hold must know of its lock file. */
typedef struct {
    char *name;
    struct stat file;
    guint slot;         /* that its record stands in */
    gboolean is_shared; /* other hosts see the lock, and a server may take it away */
} State;

static void
state_free(gpointer data)
{
    State *state = data;
    g_free(state->name);
    g_free(state);
}

static State *
state_new(const DlkRule *rule)
{
    State *state = g_new0(State, 1);
    g_autofree char *limit = dlk_lockspace_folder_limit(rule);
    state->is_shared = limit == NULL;
    return state;
}

static char *
label_of(const DlkTarget *target)
{
    return dlk_text_printable(dlk_disk_label(target->disk), 0);
}

/* A lease of an earlier run may stand under a rule that says nothing of one any more. */
static gboolean
has_lockspace(const DlkTarget *target, const DlkRule *rule, GError **error)
{
    if (rule->lockspace != NULL)
        return TRUE;
    g_autofree char *label = label_of(target);
    g_set_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
                "%s: the policy's rule \"%s\" has no lockspace=, which backend lockspace needs", label,
                rule->name);
    return FALSE;
}

gboolean
dlk_lock_place_find(DlkLockPlace *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    if (!has_lockspace(target, rule, error))
        return FALSE;
    self->folder = dlk_lockspace_folder_suffices(rule, error) ? dlk_lockspace_folder_open(rule, error) : -1;
    if (self->folder < 0)
        return FALSE;
    self->identity = dlk_shared_identity(target, self->folder, error);
    self->name = self->identity != NULL ? dlk_lock_file_name(self->identity) : NULL;
    return self->name != NULL;
}

void
dlk_lock_place_clear(DlkLockPlace *self)
{
    dlk_close_fd(&self->folder);
    g_clear_pointer(&self->identity, g_free);
    g_clear_pointer(&self->name, g_free);
}

static gboolean
lockspace_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    if (!has_lockspace(target, rule, error))
        return FALSE;
    /* Of a file it depends on where the lockspace is; that a lockspace is not there is no reason to do
     * without. */
    g_auto(DlkLockPlace) place = {.folder = -1};
    if (target->disk->kind == DLK_KIND_FILE)
        return dlk_lock_place_find(&place, target, rule, error);
    if (!dlk_lockspace_folder_suffices(rule, error))
        return FALSE;
    place.identity = dlk_shared_identity(target, -1, error);
    return place.identity != NULL;
}

static char *
lockspace_reach_limit(DlkBackend *self, const DlkTarget *target, const DlkRule *rule)
{
    return dlk_lockspace_folder_limit(rule);
}

static char *
lockspace_unseen_loss(DlkBackend *self, const DlkTarget *target, const DlkRule *rule)
{
    return dlk_lockspace_folder_unseen_loss(rule);
}

static gboolean
keeps_apart(const DlkHold *hold, const DlkRule *rule, DlkMode mode, GError **error)
{
    g_autofree char *filesystem = hold->strict ? dlk_lockspace_folder_filesystem(rule) : NULL;
    g_autofree char *label = label_of(hold->target);
    return dlk_shared_locks_keep_apart(filesystem, mode, hold->strict, label, rule->lockspace, error);
}

/*
 * The lock file, with the byte read-locked that whoever fences somebody write-locks: as long as it is, nobody
 * takes the file away. -1 without an error: it was just taken away, try again.
 */
static int
open_lock_file(const DlkLockPlace *place, const char *label, State *state, GError **error)
{
    dlk_autofd fd = dlk_lock_file_open(place->folder, place->name, place->identity, error);
    if (fd < 0)
        return -1;
    if (!dlk_image_locks_set(fd, DLK_BYTE_FENCE, F_RDLCK)) {
        if (errno == EAGAIN)
            g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "a host is just being fenced from %s: try again",
                        label);
        else
            dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot lock the lock file of %s",
                                label);
        return -1;
    }
    if (fstat(fd, &state->file) == 0 && dlk_lock_file_is(place->folder, place->name, &state->file))
        return g_steal_fd(&fd);
    if (errno != 0)
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot find the lock file of %s again",
                            label);
    return -1;
}

/* A lease that nobody could tell of would be overlooked by who fences another. */
static gboolean
cannot_tell(const char *label, GError **error)
{
    return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                               "cannot lock a place for the record in the lock file of %s", label);
}

static int
take(const DlkLockPlace *place, const DlkHold *hold, State *state, GError **error)
{
    g_autofree char *label = label_of(hold->target);
    dlk_autofd fd = -1;
    g_autoptr(GError) failure = NULL;
    for (guint tries = 0; fd < 0 && failure == NULL && tries < MAX_TRIES; tries++)
        fd = open_lock_file(place, label, state, &failure);
    if (fd < 0) {
        if (failure == NULL)
            g_set_error(&failure, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                        "the lock file of %s vanishes again and again", label);
        g_propagate_error(error, g_steal_pointer(&failure));
        return -1;
    }
    /* On failure closing the descriptor unlocks: nobody has a copy of it yet. */
    if (!dlk_lease_locks_take(fd, label, hold->mode, hold->strict, error))
        return -1;
    /* Alone here: what is still written is of hosts that are gone. */
    if (hold->mode == DLK_MODE_EXCLUSIVE && ftruncate(fd, DLK_LOCK_FILE_HEADER) < 0)
        g_debug("cannot empty a lock file: %s", g_strerror(errno));
    if (!dlk_holder_slots_claim(fd, &state->slot)) {
        cannot_tell(label, error);
        return -1;
    }
    /* Kept, it would be in the way of whoever fences. */
    if (dlk_image_locks_set(fd, DLK_BYTE_FENCE, F_UNLCK))
        return g_steal_fd(&fd);
    dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot unlock the lock file of %s", label);
    return -1;
}

static gboolean
lockspace_acquire(DlkBackend *self, DlkHold *hold, const DlkRule *rule, GError **error)
{
    g_auto(DlkLockPlace) place = {.folder = -1};
    if (!dlk_lock_place_find(&place, hold->target, rule, error) ||
        !keeps_apart(hold, rule, hold->mode, error))
        return FALSE;
    State *state = state_new(rule);
    hold->fd = take(&place, hold, state, error);
    state->name = g_steal_pointer(&place.name);
    dlk_hold_set_state(hold, state, state_free);
    return hold->fd >= 0;
}

/* Where the name leads now. A lockspace that cannot be reached, or whose filesystem is no longer mounted
 * there, says nothing of the lock. */
static DlkCheck
check_name(const DlkHold *hold, char **reason)
{
    const State *state = hold->state;
    struct stat folder_status;
    g_autoptr(GError) error = NULL;
    dlk_autofd folder = dlk_lockspace_folder_open(hold->rule, &error);
    if (folder < 0 || fstat(folder, &folder_status) < 0 || folder_status.st_dev != state->file.st_dev) {
        *reason = g_strdup(DLK_REASON_NO_LOCKSPACE);
        return DLK_CHECK_UNKNOWN;
    }
    if (dlk_lock_file_is(folder, state->name, &state->file))
        return DLK_CHECK_HELD;
    if (errno != 0) {
        *reason = g_strconcat(DLK_REASON_STORAGE_ERROR, g_strerror(errno), NULL);
        return DLK_CHECK_UNKNOWN;
    }
    *reason = g_strdup(DLK_REASON_LOCK_FILE_GONE);
    return DLK_CHECK_LOST;
}

static DlkCheck
lockspace_check(DlkBackend *self, DlkHold *hold, char **reason)
{
    if (hold->fd < 0) {
        *reason = g_strdup(DLK_REASON_NOT_LOCKED);
        return DLK_CHECK_LOST;
    }
    const State *state = hold->state;
    const DlkCheck answer = check_name(hold, reason);
    if (answer != DLK_CHECK_HELD)
        return answer;
    return state->is_shared ? dlk_lease_locks_check_shared(hold->fd, NULL, hold->mode, reason)
                            : dlk_lease_locks_check(hold->fd, hold->mode, reason);
}

static gboolean
lockspace_convert(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error)
{
    g_autofree char *label = label_of(hold->target);
    if (!keeps_apart(hold, hold->rule, mode, error) ||
        !dlk_lease_locks_change(hold->fd, label, hold->mode, mode, hold->strict, error))
        return FALSE;
    hold->mode = mode;
    return TRUE;
}

static void
lockspace_record(DlkBackend *self, DlkHold *hold, gboolean stands)
{
    const State *state = hold->state;
    if (hold->fd < 0 || hold->holder == NULL || state->slot == DLK_HOLDER_NO_SLOT)
        return;
    g_autofree char *record = stands ? dlk_holder_record_format(hold->holder, hold->mode, hold->key) : NULL;
    /* An NFS client keeps to itself what is not synced; unlocking does it too (nfs(5), "data and metadata
     * coherence"). */
    if (!dlk_holder_slots_write(hold->fd, state->slot, record) || (stands && fdatasync(hold->fd) < 0)) {
        g_autofree char *label = label_of(hold->target);
        const int errsv = errno;
        g_message("%s: cannot tell other hosts who has it: %s", label, g_strerror(errsv));
    }
}

static gboolean
lockspace_release(DlkBackend *self, DlkHold *hold, GError **error)
{
    if (hold->fd < 0)
        return TRUE;
    const gboolean unlocked = dlk_image_locks_clear(hold->fd);
    const int errsv = errno;
    /* In any case: with its last descriptor a lock goes too. */
    dlk_close_fd(&hold->fd);
    hold->fd = -1;
    if (unlocked)
        return TRUE;
    g_autofree char *label = label_of(hold->target);
    return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot unlock the lock file of %s",
                               label);
}

/* The slot of the earlier run may be another one than that which was free now. */
static gboolean
keep_one_slot(const DlkHold *hold)
{
    const State *state = hold->state;
    dlk_holder_slots_drop_others(hold->fd, state->slot, hold->holder != NULL ? &hold->holder->lease : NULL);
    return TRUE;
}

static gboolean
lockspace_adopt(DlkBackend *self, DlkHold *hold, int *fds, const DlkRule *rule, GError **error)
{
    g_auto(DlkLockPlace) place = {.folder = -1};
    struct stat file;
    g_autofree char *label = label_of(hold->target);
    if (fds[0] < 0)
        return lockspace_acquire(self, hold, rule, error) && keep_one_slot(hold);
    if (!dlk_lock_place_find(&place, hold->target, rule, error))
        return FALSE;
    if (fstat(fds[0], &file) < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                   "cannot look at the lock file of %s", label);
    if (!dlk_lock_file_is(place.folder, place.name, &file)) {
        if (errno != 0)
            return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno,
                                       "cannot look at the lock file of %s", label);
        g_set_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST, "%s: " DLK_REASON_LOCK_FILE_GONE, label);
        return FALSE;
    }
    if (!dlk_lease_locks_adopt(fds[0], NULL, label, hold->mode, hold->strict, error))
        return FALSE;
    guint slot = DLK_HOLDER_NO_SLOT;
    if (!dlk_holder_slots_claim(fds[0], &slot))
        return cannot_tell(label, error);
    State *state = state_new(rule);
    state->file = file;
    state->name = g_steal_pointer(&place.name);
    state->slot = slot;
    dlk_hold_set_state(hold, state, state_free);
    hold->fd = g_steal_fd(&fds[0]);
    return keep_one_slot(hold);
}

static void
dlk_lockspace_backend_class_init(DlkLockspaceBackendClass *klass)
{
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->name = "lockspace";
    backend->reaches_other_hosts = TRUE;
    backend->reach_limit = lockspace_reach_limit;
    backend->unseen_loss = lockspace_unseen_loss;
    backend->probe = lockspace_probe;
    backend->acquire = lockspace_acquire;
    backend->check = lockspace_check;
    backend->convert = lockspace_convert;
    backend->release = lockspace_release;
    backend->record = lockspace_record;
    backend->adopt = lockspace_adopt;
    backend->holders = dlk_lockspace_holders;
    backend->fence = dlk_lockspace_fence;
}

static void
dlk_lockspace_backend_init(DlkLockspaceBackend *self)
{
}
