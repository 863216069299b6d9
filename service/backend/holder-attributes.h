#pragma once

#include "model/holder.h"

/*
 * The records of those who have locked a file itself: an extended attribute for each, "user.disklock." and
 * the lease's id. Beside it the lease keeps a byte of the file read-locked, far behind those that mean
 * anything to others: so a record whose byte nobody has locked is left of somebody who is gone. Whoever may
 * write to the file can put what he likes there; it is read with bounds.
 *
 * All functions work on a descriptor of the file that is open for reading or writing, may block, and are for
 * workers.
 */

/** Locks the byte of @holder's lease by @fd and writes @record. FALSE with errno set; ENOTSUP: no filesystem
 * for that. */
gboolean dlk_holder_attributes_write(int fd, const DlkHolder *holder, const char *record);
/** Takes the record of @lease away; its byte is unlocked with the lock of the lease. FALSE with errno set. */
gboolean dlk_holder_attributes_remove(int fd, const DlkLeaseId *lease);
/** Takes all records away but that of @lease; for who has the file alone. */
void dlk_holder_attributes_remove_others(int fd, const DlkLeaseId *lease);
/** All records; of DlkHolder, each confirmed where its byte is locked. %NULL with errno set. */
GPtrArray *dlk_holder_attributes_read(int fd);
