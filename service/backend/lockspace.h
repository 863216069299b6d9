#pragma once

#include "backend/backend.h"

/**
 * Locks on files of their own, one for each disk, in a folder that all hosts share (the rule's lockspace=):
 * for block devices, disks on the network, and whatever has no lock of its own. A file is named by a hash of
 * what the disk is called on every host (shared-identity.h), is locked as an image is (lease-locks.h), holds
 * the records of those who have it (holder-slots.h), and is left behind when they are gone.
 *
 * The lock stays in the folder and binds those alone who ask for it: nothing keeps a host that does not from
 * writing to the disk.
 */
#define DLK_TYPE_LOCKSPACE_BACKEND dlk_lockspace_backend_get_type()
G_DECLARE_FINAL_TYPE(DlkLockspaceBackend, dlk_lockspace_backend, DLK, LOCKSPACE_BACKEND, DlkBackend)

/** The lock file of a disk, as one job has found it. */
typedef struct {
    int folder;
    char *identity;
    char *name;
} DlkLockPlace;

/** Where the lock file of @target is under @rule; made sure that only root can have put it there. */
gboolean dlk_lock_place_find(DlkLockPlace *self, const DlkTarget *target, const DlkRule *rule,
                             GError **error);
void dlk_lock_place_clear(DlkLockPlace *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DlkLockPlace, dlk_lock_place_clear)

/* lockspace-holders.c: the class's holders and fence */
gboolean dlk_lockspace_holders(DlkBackend *self, const DlkTarget *target, const DlkRule *rule,
                               GPtrArray *holders, GError **error);
gboolean dlk_lockspace_fence(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, const char *host,
                             guint *removed, GError **error);
