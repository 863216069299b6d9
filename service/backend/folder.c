#include "backend/folder.h"

#include "base/fd.h"

#include <sys/stat.h>

/* An open descriptor keeps the inode's number from being given to another folder: the two name it safely. */
struct _DlkFolder {
    dev_t device;
    ino_t inode;
    int fd;
    guint references; /* under the mutex */
};

static GMutex mutex;
static GHashTable *folders; /* set of DlkFolder, by device and inode */

static guint
folder_hash(gconstpointer data)
{
    const DlkFolder *folder = data;

    return (guint)folder->inode ^ (guint)folder->device;
}

static gboolean
folder_equal(gconstpointer a, gconstpointer b)
{
    const DlkFolder *x = a, *y = b;

    return x->inode == y->inode && x->device == y->device;
}

/* Mutex held. */
static DlkFolder *
find_or_add(const DlkFolder *wanted)
{
    if (!folders)
        folders = g_hash_table_new(folder_hash, folder_equal);

    DlkFolder *folder = g_hash_table_lookup(folders, wanted);
    if (!folder) {
        folder = g_memdup2(wanted, sizeof *wanted);
        g_hash_table_add(folders, folder);
    }
    folder->references++;
    return folder;
}

DlkFolder *
dlk_folder_get(int fd)
{
    dlk_autofd owned = fd;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return NULL;

    const DlkFolder wanted = {.device = status.st_dev, .inode = status.st_ino, .fd = fd};
    g_mutex_lock(&mutex);
    DlkFolder *folder = find_or_add(&wanted);
    g_mutex_unlock(&mutex);
    if (folder->fd == fd)
        (void)g_steal_fd(&owned);
    return folder;
}

void
dlk_folder_unref(DlkFolder *self)
{
    g_mutex_lock(&mutex);
    gboolean last = --self->references == 0;
    if (last)
        g_hash_table_remove(folders, self);
    if (last && g_hash_table_size(folders) == 0)
        g_clear_pointer(&folders, g_hash_table_unref);
    g_mutex_unlock(&mutex);
    if (!last)
        return;
    /* Outside of the mutex: a close may block. */
    dlk_close_fd(&self->fd);
    g_free(self);
}

int
dlk_folder_fd(const DlkFolder *self)
{
    return self->fd;
}
