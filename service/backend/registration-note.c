#include "backend/registration-note.h"

#include "base/error.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_NAME "registered"
/* A file's name is a hash in hex digits; a file that is just being written has another. */
#define NAME_LENGTH 64

static GMutex mutex; /* guards the folder's name */
static char *folder;

void
dlk_registration_note_set_folder(const char *runtime_dir)
{
    g_mutex_lock(&mutex);
    g_free(folder);
    folder = runtime_dir != NULL ? g_build_filename(runtime_dir, FOLDER_NAME, NULL) : NULL;
    g_mutex_unlock(&mutex);
}

static char *
get_folder(void)
{
    g_mutex_lock(&mutex);
    char *copy = g_strdup(folder);
    g_mutex_unlock(&mutex);
    return copy;
}

static char *
file_of(const char *where, const char *disk_id)
{
    g_autofree char *name = g_compute_checksum_for_string(G_CHECKSUM_SHA256, disk_id, -1);
    return g_build_filename(where, name, NULL);
}

gboolean
dlk_registration_note_make(const DlkDisk *disk, GError **error)
{
    g_autofree char *where = get_folder();
    g_autoptr(GError) local = NULL;
    if (where == NULL || disk->path == NULL)
        return TRUE;
    if (g_mkdir(where, 0700) < 0 && errno != EEXIST)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot make the folder %s",
                                   where);
    g_autofree char *file = file_of(where, disk->id);
    g_autofree char *path = g_strescape(disk->path, NULL);
    g_autofree char *id = g_strescape(disk->id, NULL);
    g_autofree char *text = g_strdup_printf("%s\n%s\n", path, id);
    /* Whole or not at all; nothing is synced, as it is of use in this boot alone. */
    if (g_file_set_contents_full(file, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local))
        return TRUE;
    g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                "cannot note that this host registers with the disk: %s", local->message);
    return FALSE;
}

void
dlk_registration_note_remove(const char *disk_id)
{
    g_autofree char *where = get_folder();
    g_autofree char *file = where != NULL ? file_of(where, disk_id) : NULL;
    if (file != NULL)
        (void)unlink(file);
}

void
dlk_registration_note_free(DlkRegistrationNote *self)
{
    g_free(self->disk_id);
    g_free(self->path);
    g_free(self);
}

static DlkRegistrationNote *
read_note(const char *file)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(file, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    if (g_strv_length(lines) != 3)
        return NULL;
    DlkRegistrationNote *self = g_new0(DlkRegistrationNote, 1);
    self->path = g_strcompress(lines[0]);
    self->disk_id = g_strcompress(lines[1]);
    return self;
}

GPtrArray *
dlk_registration_note_list(void)
{
    GPtrArray *notes = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_registration_note_free);
    g_autofree char *where = get_folder();
    g_autoptr(GDir) files = where != NULL ? g_dir_open(where, 0, NULL) : NULL;
    const char *name;
    while (files != NULL && (name = g_dir_read_name(files)) != NULL) {
        g_autofree char *file = g_build_filename(where, name, NULL);
        DlkRegistrationNote *note = strlen(name) == NAME_LENGTH ? read_note(file) : NULL;
        if (note != NULL)
            g_ptr_array_add(notes, note);
        else
            (void)unlink(file); /* left of one that was being written */
    }
    return notes;
}
