#include "backend/host.h"

struct _DlkHostBackend {
    DlkBackend parent_instance;
};

G_DEFINE_TYPE(DlkHostBackend, dlk_host_backend, DLK_TYPE_BACKEND)

static gboolean
host_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    return TRUE;
}

static gboolean
host_acquire(DlkBackend *self, DlkHold *hold, const DlkRule *rule, GError **error)
{
    hold->release_never_blocks = TRUE;
    return TRUE;
}

static DlkCheck
host_check(DlkBackend *self, DlkHold *hold, char **reason)
{
    return DLK_CHECK_HELD;
}

static gboolean
host_convert(DlkBackend *self, DlkHold *hold, DlkMode mode, GError **error)
{
    hold->mode = mode;
    return TRUE;
}

static gboolean
host_release(DlkBackend *self, DlkHold *hold, GError **error)
{
    return TRUE;
}

static gboolean
host_adopt(DlkBackend *self, DlkHold *hold, int *fds, const DlkRule *rule, GError **error)
{
    return TRUE;
}

static void
dlk_host_backend_class_init(DlkHostBackendClass *klass)
{
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->name = "host";
    backend->reaches_other_hosts = FALSE;
    backend->probe = host_probe;
    backend->acquire = host_acquire;
    backend->check = host_check;
    backend->convert = host_convert;
    backend->release = host_release;
    backend->adopt = host_adopt;
}

static void
dlk_host_backend_init(DlkHostBackend *self)
{
}
