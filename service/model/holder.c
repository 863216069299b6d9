#include "model/holder.h"

DlkHolder *
dlk_holder_new(DlkMode mode)
{
    DlkHolder *self = g_atomic_rc_box_new0(DlkHolder);
    self->mode = mode;
    self->uid = DLK_HOLDER_NO_UID;
    return self;
}

DlkHolder *
dlk_holder_new_of_lease(const DlkLease *lease, GRefString *host, GRefString *host_name)
{
    DlkHolder *self = dlk_holder_new(lease->mode);
    self->host = g_ref_string_acquire(host);
    self->host_name = g_ref_string_acquire(host_name);
    self->owner = lease->owner != NULL ? g_ref_string_acquire(lease->owner) : NULL;
    self->owner_uuid = lease->owner_uuid != NULL ? g_ref_string_acquire(lease->owner_uuid) : NULL;
    self->lease = lease->id;
    self->since = lease->acquired_at != 0 ? lease->acquired_at : g_get_real_time();
    self->uid = lease->uid;
    self->pid = lease->pid;
    return self;
}

DlkHolder *
dlk_holder_ref(DlkHolder *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
holder_clear(gpointer data)
{
    DlkHolder *self = data;
    g_clear_pointer(&self->host, g_ref_string_release);
    g_clear_pointer(&self->host_name, g_ref_string_release);
    g_clear_pointer(&self->owner, g_ref_string_release);
    g_clear_pointer(&self->owner_uuid, g_ref_string_release);
}

void
dlk_holder_unref(DlkHolder *self)
{
    g_atomic_rc_box_release_full(self, holder_clear);
}
