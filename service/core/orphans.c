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

typedef struct {
    DlkEngine *engine;
    GSourceOnceFunc done;
    gpointer user_data;
} Waiting;

static void
on_unlocked(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autofree Waiting *waiting = user_data;
    g_autoptr(DlkEngine) engine = waiting->engine;

    dlk_pool_run_finish(engine->pool, result, NULL);
    waiting->done(waiting->user_data);
}

/* A lock that no lease explains: its grant was not seen through, or its end was. */
guint
dlk_orphans_drop(DlkEngine *engine, gint64 deadline, GSourceOnceFunc done, gpointer user_data)
{
    guint number, count = 0;
    int fd;

    for (; (fd = dlk_fd_store_take_any(engine->fd_store, &number)) >= 0; count++) {
        Orphan *orphan = g_new0(Orphan, 1);
        Waiting *waiting = g_new0(Waiting, 1);
        g_autofree char *mount = dlk_fd_info(fd, "mnt_id");
        g_autofree char *lane = g_strconcat("orphan:", mount, NULL);

        orphan->fd = fd;
        *waiting = (Waiting){g_object_ref(engine), done, user_data};
        dlk_fd_store_remove(engine->fd_store, number);
        dlk_pool_run_async(engine->pool, &unlock_job, orphan, lane, NULL, deadline, on_unlocked, waiting);
    }
    return count;
}
