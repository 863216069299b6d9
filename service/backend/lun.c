#include "backend/lun.h"

struct _DlkLuns {
    GMutex mutex; /* guards the table, and the users of what is in it */
    GHashTable *by_id;
};

static void
lun_free(gpointer data)
{
    DlkLun *lun = data;
    g_mutex_clear(&lun->mutex);
    g_free(lun->disk_id);
    dlk_reservation_free(lun->reservation);
    g_hash_table_unref(lun->holds);
    g_free(lun);
}

DlkLuns *
dlk_luns_new(void)
{
    DlkLuns *self = g_new0(DlkLuns, 1);
    g_mutex_init(&self->mutex);
    self->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, lun_free);
    return self;
}

void
dlk_luns_free(DlkLuns *self)
{
    g_hash_table_unref(self->by_id);
    g_mutex_clear(&self->mutex);
    g_free(self);
}

DlkLun *
dlk_luns_lock(DlkLuns *self, const char *disk_id)
{
    g_mutex_lock(&self->mutex);
    DlkLun *lun = g_hash_table_lookup(self->by_id, disk_id);
    if (lun == NULL) {
        lun = g_new0(DlkLun, 1);
        g_mutex_init(&lun->mutex);
        lun->disk_id = g_strdup(disk_id);
        lun->reservation = dlk_reservation_new();
        lun->holds = g_hash_table_new(NULL, NULL);
        g_hash_table_insert(self->by_id, lun->disk_id, lun);
    }
    lun->users++;
    g_mutex_unlock(&self->mutex);
    g_mutex_lock(&lun->mutex);
    return lun;
}

void
dlk_luns_unlock(DlkLuns *self, DlkLun *lun)
{
    g_mutex_unlock(&lun->mutex);
    g_mutex_lock(&self->mutex);
    lun->users--;
    if (lun->users == 0 && g_hash_table_size(lun->holds) == 0)
        g_hash_table_remove(self->by_id, lun->disk_id);
    g_mutex_unlock(&self->mutex);
}
