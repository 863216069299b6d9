#pragma once

#include "leases.h"

/**
 * Takes @wishes as dlk_leases_acquire() does, and with each image that is not in @list, what the VM has
 * already, the backing and data files that its header names: libvirt tells a lock driver of the image alone,
 * and not its format either. A raw image may have a header too, one that its guest wrote there. So what no
 * image can be made of is ignored, all of them are taken read-only, and dlk_check_later() looks after them.
 * By the VM's turn (check.h).
 */
bool dlk_chain_acquire(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkWish *wishes,
                       size_t count, const char *on_break, DlkFailure *failure);
