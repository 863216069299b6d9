#include "model/holder.h"

#include "base/text.h"

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

static void
append_host(GString *text, const DlkHolder *holder)
{
    const char *known = holder->host_name != NULL ? holder->host_name : holder->host;
    if (known == NULL && holder->key != 0)
        g_string_append_printf(text, "the host with the reservation key 0x%" G_GINT64_MODIFIER "x",
                               holder->key);
    else if (known == NULL)
        g_string_append(text, "another host, which left no record of itself");
    else
        g_string_append_printf(text, "host %s", known);
    if (known != NULL && known == holder->host_name && g_strcmp0(known, holder->host) != 0 &&
        holder->host != NULL)
        g_string_append_printf(text, " (%s)", holder->host);
}

char *
dlk_holder_describe(const DlkHolder *self)
{
    g_autoptr(GString) text = g_string_new("held ");
    g_string_append_printf(text, "%s ", dlk_mode_adverb(self->mode));
    if (self->owner != NULL)
        g_string_append_printf(text, "by %s on ", self->owner);
    else
        g_string_append(text, "by ");
    append_host(text, self);
    if (self->since != 0) {
        g_autofree char *since = dlk_text_time(self->since);
        g_string_append_printf(text, " since %s", since);
    }
    if (!self->confirmed)
        g_string_append(text, " (unconfirmed)");
    return dlk_text_printable(text->str, 0);
}
