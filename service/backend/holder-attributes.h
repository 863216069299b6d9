#pragma once

#include "model/holder.h"

/*
 * The records of those who have locked a file itself: an extended attribute for each, "user.disklock." and
 * the lease's id. Whoever may write to the file can put there what he likes; it is read with bounds.
 *
 * All functions work on a descriptor of the file that is open for reading or writing, may block, and are for
 * workers.
 */

/** Writes @record. FALSE with errno set; ENOTSUP: the filesystem has no such attributes. */
gboolean dlk_holder_attributes_write(int fd, const DlkLeaseId *lease, const char *record);
/** FALSE with errno set. */
gboolean dlk_holder_attributes_remove(int fd, const DlkLeaseId *lease);
/** All but that of @lease; for who has the file alone. */
void dlk_holder_attributes_remove_others(int fd, const DlkLeaseId *lease);
/** Adds all records to @holders (of DlkHolder). @more (out): there are more than anybody reads. FALSE with
 * errno set. */
gboolean dlk_holder_attributes_read(int fd, GPtrArray *holders, gboolean *more);
