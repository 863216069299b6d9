#pragma once

#include "model/disk.h"

/*
 * A note that this host may be registered with a disk: made before it registers, and gone when it was read
 * that it is not any more. So what a service leaves that is killed in between, the next one finds, where no
 * lease has been written down yet, or none is any more. RUNTIME_DIR/registered has a file for each disk. Any
 * thread.
 */

/** The runtime folder; %NULL: none, and nothing is noted. */
void dlk_registration_note_set_folder(const char *runtime_dir);
/** Of @disk, which the host is about to register with; DLK_ERROR_BACKEND_FAILED. */
gboolean dlk_registration_note_make(const DlkDisk *disk, GError **error);
/** Of the disk with the identity @disk_id, if there is one. */
void dlk_registration_note_remove(const char *disk_id);

/** DlkRegistrationNote: what one says. */
typedef struct {
    char *disk_id;
    char *path; /* by which the disk was reached */
} DlkRegistrationNote;
void dlk_registration_note_free(DlkRegistrationNote *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkRegistrationNote, dlk_registration_note_free)
/** All that there are; of DlkRegistrationNote, transfer full. */
GPtrArray *dlk_registration_note_list(void);
