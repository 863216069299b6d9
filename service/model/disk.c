#include "model/disk.h"

static const char *const kind_names[DLK_N_KINDS] = {
    [DLK_KIND_FILE] = "file",
    [DLK_KIND_BLOCK] = "block",
    [DLK_KIND_NETWORK] = "network",
};

const char *
dlk_kind_to_string(DlkKind kind)
{
    g_return_val_if_fail(kind < DLK_N_KINDS, "");
    return kind_names[kind];
}

DlkDisk *
dlk_disk_new(DlkKind kind, const char *id)
{
    DlkDisk *self = g_atomic_rc_box_new0(DlkDisk);
    self->kind = kind;
    self->id = g_strdup(id);
    return self;
}

DlkDisk *
dlk_disk_ref(DlkDisk *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
clear(gpointer data)
{
    DlkDisk *self = data;
    g_free(self->id);
    g_free(self->path);
    g_strfreev(self->names);
    g_free(self->filesystem);
    g_clear_pointer(&self->lock_limit, g_ref_string_release);
    g_free(self->transport);
    g_free(self->wwid);
    g_free(self->lane);
    g_strfreev(self->ancestors);
}

void
dlk_disk_unref(DlkDisk *self)
{
    g_atomic_rc_box_release_full(self, clear);
}

static gboolean
is_part_of(const DlkDisk *part, const DlkDisk *whole)
{
    return part->ancestors != NULL && g_strv_contains((const char *const *)part->ancestors, whole->id);
}

gboolean
dlk_disk_overlaps(const DlkDisk *a, const DlkDisk *b)
{
    return g_str_equal(a->id, b->id) || is_part_of(a, b) || is_part_of(b, a);
}

const char *
dlk_disk_label(const DlkDisk *self)
{
    return self->path != NULL ? self->path : self->id;
}
