#include "backend/hold.h"

#include "backend/backend.h"
#include "backend/folder.h"
#include "base/as-user.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-object.h>
#include <unistd.h>

/* What became of a place for a descriptor. */
enum {
    SPARE_FREE,
    SPARE_KEPT,
    SPARE_REVOKED, /* it may be another lease's by now */
};

/* Guards the spares of all holds: a worker that was given up as hanging may still come for his. Held while
 * systemd is told, as that is a mutex for all by itself. */
static GMutex spares_mutex;

DlkTarget *
dlk_target_new(DlkDisk *disk, int fd, int folder_fd, const char *name)
{
    DlkTarget *self = g_atomic_rc_box_new0(DlkTarget);
    self->disk = dlk_disk_ref(disk);
    self->fd = fd;
    self->folder = dlk_folder_get(folder_fd);
    self->folder_fd = self->folder ? dlk_folder_fd(self->folder) : -1;
    self->name = g_strdup(name);
    return self;
}

void
dlk_target_set_open_as(DlkTarget *self, const char *open_as)
{
    g_free(self->open_as);
    self->open_as = g_strdup(open_as);
}

int
dlk_target_open(const DlkTarget *self, int flags)
{
    return dlk_as_user_reopen(self->open_as, self->fd, flags);
}

DlkTarget *
dlk_target_ref(DlkTarget *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
target_clear(gpointer data)
{
    DlkTarget *self = data;
    dlk_disk_unref(self->disk);
    dlk_close_fd(&self->fd);
    g_clear_pointer(&self->folder, dlk_folder_unref);
    g_free(self->name);
    g_free(self->open_as);
}

void
dlk_target_unref(DlkTarget *self)
{
    g_atomic_rc_box_release_full(self, target_clear);
}

DlkHold *
dlk_hold_new(DlkBackend *backend, DlkTarget *target, DlkMode mode, gboolean strict, pid_t pid)
{
    DlkHold *self = g_atomic_rc_box_new0(DlkHold);
    g_mutex_init(&self->mutex);
    self->backend = g_object_ref(backend);
    self->target = dlk_target_ref(target);
    self->mode = mode;
    self->strict = strict;
    self->pid = pid;
    self->fd = -1;
    return self;
}

void
dlk_hold_set_holder(DlkHold *self, DlkHolder *holder)
{
    g_assert(self->holder == NULL);
    /* Only who writes it down: for the others it would be a tenth of what a lease takes. */
    if (DLK_BACKEND_GET_CLASS(self->backend)->record)
        self->holder = dlk_holder_ref(holder);
}

void
dlk_hold_set_state(DlkHold *self, gpointer state, GDestroyNotify free_state)
{
    if (self->free_state)
        self->free_state(self->state);
    self->state = state;
    self->free_state = free_state;
}

void
dlk_hold_set_name_watched(DlkHold *self, gboolean watched)
{
    g_atomic_int_set(&self->look_in, watched ? 1 : 0);
}

void
dlk_hold_look_at_name(DlkHold *self)
{
    gint left;

    do
        left = g_atomic_int_get(&self->look_in);
    while (left > 1 && !g_atomic_int_compare_and_exchange(&self->look_in, left, 1));
}

/* It is counted before the look: what is heard of later asks for another. */
gboolean
dlk_hold_takes_look(DlkHold *self)
{
    const gint left = g_atomic_int_get(&self->look_in);
    const gint next = left > 1 ? left - 1 : DLK_HOLD_CHECKS_A_LOOK;

    return left == 0 || !g_atomic_int_compare_and_exchange(&self->look_in, left, next) || left == 1;
}

static DlkHold *
part_at(const DlkHold *self, guint index)
{
    guint part = 0;

    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        if (self->parts[i] && part++ == index)
            return self->parts[i];
    return part == 0 && index == 0 ? (DlkHold *)self : NULL;
}

void
dlk_hold_set_spares(DlkHold *self, const guint *spares, gboolean (*keep_spare)(guint spare, int fd))
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&spares_mutex);
    DlkHold *part;

    for (guint i = 0; (part = part_at(self, i)); i++) {
        part->spare = spares ? spares[i] : 0;
        part->keep_spare = keep_spare;
        part->spare_state = SPARE_FREE;
    }
}

gboolean
dlk_hold_take_spare(DlkHold *self, guint part)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&spares_mutex);
    DlkHold *hold = part_at(self, part);

    if (!hold || hold->spare == 0)
        return FALSE;
    if (hold->spare_state == SPARE_FREE)
        hold->spare_state = SPARE_REVOKED;
    return hold->spare_state == SPARE_KEPT;
}

gboolean
dlk_hold_keep_spare(DlkHold *self, int fd, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&spares_mutex);

    if (self->spare == 0)
        return TRUE;
    if (self->spare_state == SPARE_REVOKED) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE, "the storage answered too late");
        return FALSE;
    }
    if (self->keep_spare(self->spare, fd)) {
        self->spare_state = SPARE_KEPT;
        return TRUE;
    }
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                "systemd does not take the descriptor of the new lock into its store, and without that a "
                "restart of the service would lose it");
    return FALSE;
}

guint
dlk_hold_fds(const DlkHold *self, int fds[DLK_HOLD_PARTS])
{
    guint count = 0;

    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        if (self->parts[i])
            fds[count++] = self->parts[i]->fd;
    if (count == 0)
        fds[count++] = self->fd;
    return count;
}

gboolean
dlk_hold_adopt_fd(DlkHold *self, int fd, GError **error)
{
    dlk_autofd owned = fd;
    int result = -1;

    while (self->target->fd >= 0 && (result = dup3(fd, self->target->fd, O_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (result < 0) {
        g_autofree char *label = dlk_text_printable(dlk_disk_label(self->target->disk), 0);

        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot keep the lock of %s",
                                   label);
    }
    self->fd = self->target->fd;
    return TRUE;
}

const char *
dlk_hold_lane(const DlkHold *self)
{
    return self->rule ? dlk_rule_lane(self->rule, self->target->disk) : self->target->disk->lane;
}

DlkHold *
dlk_hold_ref(DlkHold *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
hold_clear(gpointer data)
{
    DlkHold *self = data;
    g_mutex_clear(&self->mutex);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        g_clear_pointer(&self->parts[i], dlk_hold_unref);
    dlk_hold_set_state(self, NULL, NULL);
    g_clear_pointer(&self->rule, dlk_rule_unref);
    g_clear_pointer(&self->holder, dlk_holder_unref);
    if (self->fd != self->target->fd)
        dlk_close_fd(&self->fd);
    dlk_target_unref(self->target);
    g_object_unref(self->backend);
}

void
dlk_hold_unref(DlkHold *self)
{
    g_atomic_rc_box_release_full(self, hold_clear);
}
