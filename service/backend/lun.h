#pragma once

#include "backend/reservation.h"

/**
 * DlkLun: what this host has of one disk, which leases share. Whoever has got it from dlk_luns_lock() has it
 * for himself until dlk_luns_unlock(), for as long as the disk takes to answer: other disks do not wait.
 */
typedef struct {
    GMutex mutex;
    guint users; /* who have it or wait for it; the table's */
    char *disk_id;
    DlkReservation *reservation;
    GHashTable *holds; /* set of DlkHold, not referenced: what the reservation serves */
} DlkLun;

/** DlkLuns: of all disks; any thread. */
typedef struct _DlkLuns DlkLuns;
DlkLuns *dlk_luns_new(void);
void dlk_luns_free(DlkLuns *self);

DlkLun *dlk_luns_lock(DlkLuns *self, const char *disk_id);
/** Forgets the disk where nothing is held and nothing registered. */
void dlk_luns_unlock(DlkLuns *self, DlkLun *lun);
