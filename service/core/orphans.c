#include "backend/image-locks.h"
#include "base/fd.h"
#include "core/recover.h"

typedef struct {
    int fd;
} Orphan;

static void
orphan_free(gpointer data)
{
    Orphan *orphan = data;

    dlk_close_fd(&orphan->fd);
    g_free(orphan);
}

static gpointer
run_unlock(gpointer data, GError **error)
{
    const Orphan *orphan = data;

    (void)dlk_image_locks_clear(orphan->fd); /* no lock, or no file: then it is closed, and that is all */
    return NULL;
}

static const DlkJob unlock_job = {"unlock", run_unlock, orphan_free, NULL};

/* A lock that no lease explains: its grant was not seen through, or its end was. */
void
dlk_orphans_drop(DlkEngine *engine, DlkRecovery *recovery)
{
    guint number;
    int fd;

    while ((fd = dlk_fd_store_take_any(engine->fd_store, &number)) >= 0) {
        Orphan *orphan = g_new0(Orphan, 1);
        g_autofree char *mount = dlk_fd_info(fd, "mnt_id");
        g_autofree char *lane = g_strconcat("orphan:", mount, NULL);

        orphan->fd = fd;
        dlk_fd_store_remove(engine->fd_store, number);
        dlk_recovery_run(recovery, &unlock_job, orphan, lane);
    }
}
