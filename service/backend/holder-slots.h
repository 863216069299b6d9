#pragma once

#include "model/holder.h"

/*
 * The records in a lock file: behind a header, slots of one size. Whoever holds the lock on the bytes of a
 * slot may write there, and holds it for as long as his lease stands: so a record in a slot that nobody has
 * locked is left of somebody who is gone. What stands in the file is hostile, and read with bounds.
 */
#define DLK_HOLDER_SLOTS 64
#define DLK_HOLDER_NO_SLOT G_MAXUINT

/**
 * dlk_holder_slots_claim: locks a slot that is free, by @fd, for one record; where all are taken @slot (out)
 * is DLK_HOLDER_NO_SLOT, and a byte is locked that tells others of a lease without a record. FALSE with
 * errno set: neither.
 */
gboolean dlk_holder_slots_claim(int fd, guint *slot);
/**
 * dlk_holder_slots_drop_others: what an earlier run left of the same lease: unlocks every slot but @slot that
 * @fd has locked, and takes away the records of @lease that stand elsewhere; %NULL: none.
 */
void dlk_holder_slots_drop_others(int fd, guint slot, const DlkLeaseId *lease);
/** Does a lease stand for which no slot was free, or is that not known? */
gboolean dlk_holder_slots_are_too_few(int fd);
/** Writes @record, a line, there; %NULL: nothing. FALSE with errno set. */
gboolean dlk_holder_slots_write(int fd, guint slot, const char *record);
/** DlkHolderSlot: what one of them says. */
typedef struct {
    guint slot;
    DlkHolder *holder; /* confirmed where the slot is locked; %NULL: locked, and no record there */
} DlkHolderSlot;
/** All that are locked or have a record; of DlkHolderSlot. %NULL with errno set. */
GArray *dlk_holder_slots_read(int fd);
/** Takes the record out of @slot unless somebody has it locked. */
gboolean dlk_holder_slots_remove(int fd, guint slot);
