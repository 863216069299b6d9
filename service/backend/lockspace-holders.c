#include "backend/holder-slots.h"
#include "backend/image-locks.h"
#include "backend/lock-file.h"
#include "backend/lockspace-folder.h"
#include "backend/lockspace.h"
#include "backend/server-advice.h"
#include "backend/shared-locks.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Locked by somebody whose record cannot be read: that somebody is there is known all the same. */
static DlkHolder *
unknown_holder(DlkByteState lease)
{
    DlkHolder *holder = dlk_holder_new(lease == DLK_BYTE_WRITE_LOCKED ? DLK_MODE_EXCLUSIVE : DLK_MODE_SHARED);
    holder->confirmed = TRUE;
    return holder;
}

static gboolean
cannot_read(const DlkTarget *target, GError **error)
{
    const int errsv = errno;
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv, "cannot read the lock file of %s",
                               label);
}

gboolean
dlk_lockspace_holders(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
                      GError **error)
{
    g_auto(DlkLockPlace) place = {.folder = -1};
    if (!dlk_lock_place_find(&place, target, rule, error))
        return FALSE;
    dlk_autofd fd = dlk_lock_file_open_existing(place.folder, place.name, O_RDONLY);
    if (fd < 0)
        return errno == ENOENT || cannot_read(target, error);
    g_autoptr(GArray) slots = dlk_holder_slots_read(fd);
    if (slots == NULL)
        return cannot_read(target, error);
    const DlkByteState lease = dlk_image_locks_ask(fd, DLK_BYTE_LEASE, DLK_BYTE_LEASE, NULL);
    const gboolean busy = lease == DLK_BYTE_READ_LOCKED || lease == DLK_BYTE_WRITE_LOCKED;
    /* Where a reader's lock is not shown, his slot's is: for that he writes. */
    g_autofree char *filesystem = dlk_lockspace_folder_filesystem(rule);
    const gboolean may_be_busy = busy || !dlk_shared_locks_show_readers(filesystem);
    guint confirmed = 0, unknown = 0;
    for (guint i = 0; i < slots->len; i++) {
        const DlkHolderSlot *slot = &g_array_index(slots, DlkHolderSlot, i);
        unknown += slot->holder == NULL;
        if (slot->holder == NULL)
            continue;
        /* A slot may be kept locked, by whatever means, where no lease is. */
        slot->holder->confirmed = slot->holder->confirmed && may_be_busy;
        confirmed += slot->holder->confirmed;
        g_ptr_array_add(holders, dlk_holder_ref(slot->holder));
    }
    if ((busy || (may_be_busy && unknown > 0)) && (confirmed == 0 || dlk_holder_slots_are_too_few(fd)))
        g_ptr_array_add(holders, unknown_holder(lease));
    return TRUE;
}

/* What is known of a lock file and of the host that is to be fenced. */
typedef struct {
    guint removed; /* records that nobody stood behind any more */
    guint alive;   /* holds of that host's that are still locked */
    guint others;  /* of other hosts */
    guint unknown; /* of nobody knows whom */
    char *name;    /* as people know that host, or %NULL */
} Census;

static void
census_clear(Census *census)
{
    g_free(census->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Census, census_clear)

static gboolean
take_census(int fd, const DlkTarget *target, const char *host, Census *census, GError **error)
{
    g_autoptr(GArray) slots = dlk_holder_slots_read(fd);
    if (slots == NULL)
        return cannot_read(target, error);
    for (guint i = 0; i < slots->len; i++) {
        const DlkHolderSlot *slot = &g_array_index(slots, DlkHolderSlot, i);
        const gboolean is_theirs = slot->holder != NULL && g_str_equal(slot->holder->host, host);
        if (is_theirs && slot->holder->confirmed && census->name == NULL)
            census->name = g_strdup(slot->holder->host_name);
        if (is_theirs && !slot->holder->confirmed && dlk_holder_slots_remove(fd, slot->slot))
            census->removed++;
        else if (is_theirs)
            census->alive++;
        else if (slot->holder == NULL)
            census->unknown++;
        else if (slot->holder->confirmed)
            census->others++;
    }
    census->unknown += dlk_holder_slots_are_too_few(fd);
    const DlkByteState lease = dlk_image_locks_ask(fd, DLK_BYTE_LEASE, DLK_BYTE_LEASE, NULL);
    if (lease != DLK_BYTE_FREE && census->alive + census->others + census->unknown == 0)
        census->unknown++; /* one that has no record */
    return TRUE;
}

/* A lock belongs to whoever took it: on a client of the storage nobody else can end it. */
static gboolean
only_the_server_can(const DlkTarget *target, const DlkRule *rule, const char *host, const Census *census,
                    GError **error)
{
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    g_autofree char *name = census->name != NULL ? dlk_text_printable(census->name, 0) : NULL;
    g_autofree char *by_name = name != NULL ? g_strdup_printf(" (by its records %s)", name) : g_strdup("");
    g_set_error(
        error, DLK_ERROR, DLK_ERROR_UNSUPPORTED,
        "%s: its lock file in %s is locked by others than host %s%s too, or by nobody knows whom, and "
        "from here one cannot be taken out alone: " DLK_NFS_SERVER_ADVICE,
        label, rule->lockspace, host, by_name);
    return FALSE;
}

static gboolean
refuse_to_fence(const DlkTarget *target, const char *why, GError **error)
{
    g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
    g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s %s by somebody: try again", label, why);
    return FALSE;
}

/*
 * Write-locks the byte that whoever takes a lease has read-locked meanwhile, and looks again whether the name
 * still leads to @fd: who fenced just before may have taken that file away, and somebody may have locked the
 * next one. From here on nobody takes a file of that name away.
 */
static gboolean
begin_to_fence(int fd, const DlkLockPlace *place, const DlkTarget *target, GError **error)
{
    struct stat status;
    if (!dlk_image_locks_set(fd, DLK_BYTE_FENCE, F_WRLCK))
        return errno == EAGAIN ? refuse_to_fence(target, "is just being taken, or fenced,", error)
                               : cannot_read(target, error);
    if (fstat(fd, &status) < 0)
        return cannot_read(target, error);
    if (dlk_lock_file_is(place->folder, place->name, &status))
        return TRUE;
    return errno == 0 ? refuse_to_fence(target, "has just been fenced", error) : cannot_read(target, error);
}

gboolean
dlk_lockspace_fence(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                    guint *removed, GError **error)
{
    g_auto(DlkLockPlace) place = {.folder = -1};
    g_auto(Census) census = {0};
    if (!dlk_lock_place_find(&place, target, rule, error))
        return FALSE;
    dlk_autofd fd = dlk_lock_file_open_existing(place.folder, place.name, O_RDWR);
    if (fd < 0)
        return errno == ENOENT || cannot_read(target, error);
    if (!begin_to_fence(fd, &place, target, error) || !take_census(fd, target, host, &census, error))
        return FALSE;
    *removed = census.removed;
    if (census.alive == 0 && census.unknown == 0)
        return TRUE;
    if (census.others + census.unknown > 0)
        return only_the_server_can(target, rule, host, &census, error);
    /* Its lock stays on a file that nobody will find any more; the host itself does so at its next check. */
    if (unlinkat(place.folder, place.name, 0) < 0) {
        const int errsv = errno;
        g_autofree char *label = dlk_text_printable(dlk_disk_label(target->disk), 0);
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errsv,
                                   "cannot remove the lock file of %s", label);
    }
    *removed += census.alive;
    return TRUE;
}
