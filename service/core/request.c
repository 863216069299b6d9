#include "core/request.h"

#include "base/fd.h"
#include "core/authority.h"

static void
wanted_free(gpointer data)
{
    DlkWanted *wanted = data;

    g_free(wanted->path);
    g_free(wanted->origin);
    g_free(wanted->format);
    g_free(wanted);
}

DlkRequest *
dlk_request_new(DlkCaller *caller, const char *action, DlkOptions *options)
{
    DlkRequest *self = g_new0(DlkRequest, 1);

    self->caller = dlk_caller_ref(caller);
    self->action = action;
    self->options = options;
    self->pidfd = -1;
    self->wanted = g_ptr_array_new_with_free_func(wanted_free);
    return self;
}

DlkWanted *
dlk_request_add(DlkRequest *self, const char *path, int fd, DlkMode mode)
{
    DlkWanted *wanted = g_new0(DlkWanted, 1);

    wanted->path = g_strdup(path);
    wanted->fd = fd;
    wanted->mode = mode;
    g_ptr_array_add(self->wanted, wanted);
    return wanted;
}

void
dlk_request_free(DlkRequest *self)
{
    dlk_caller_unref(self->caller);
    dlk_options_free(self->options);
    dlk_close_fd(&self->pidfd);
    g_ptr_array_unref(self->wanted);
    g_free(self);
}

GVariant *
dlk_request_details(const DlkRequest *self, const DlkWanted *wanted, const DlkLease *lease)
{
    g_autofree char *fd_path = wanted && wanted->fd >= 0 ? dlk_fd_path(wanted->fd) : NULL;
    const char *named = wanted && wanted->path ? wanted->path : fd_path;
    const char *owner = self->options->owner ? self->options->owner : self->caller->command;

    if (lease)
        return dlk_authority_lease_details(lease, lease->mode);
    return dlk_authority_details("path", named, "mode", wanted ? dlk_mode_to_string(wanted->mode) : NULL,
                                 "owner", owner, NULL);
}
