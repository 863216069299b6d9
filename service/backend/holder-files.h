#pragma once

#include "model/holder.h"

/*
 * The records of those who have locked a file, where its filesystem has no extended attributes (NFS before
 * version 4.2): a hidden file beside it for each, ".NAME.disklock-" and the lease's id, and the record in it.
 * Whoever may write to the folder can put there what he likes; it is read with bounds.
 *
 * @folder: the folder, opened in whatever way; @name: of the disk in it. May block; for workers.
 */

/** Writes @record, in the place of an older one. FALSE with errno set; ENAMETOOLONG: @name has no room for
 * it. */
gboolean dlk_holder_files_write(int folder, const char *name, const DlkLeaseId *lease, const char *record);
/** FALSE with errno set. */
gboolean dlk_holder_files_remove(int folder, const char *name, const DlkLeaseId *lease);
/** All but that of @lease; for who has the disk alone. */
void dlk_holder_files_remove_others(int folder, const char *name, const DlkLeaseId *lease);
/** Adds all records to @holders (of DlkHolder). @more (out): there are more than anybody reads. FALSE with
 * errno set. */
gboolean dlk_holder_files_read(int folder, const char *name, GPtrArray *holders, gboolean *more);
