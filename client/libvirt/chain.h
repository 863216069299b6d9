#pragma once

#include "leases.h"

/**
 * Takes @wishes as dlk_leases_acquire() does, and with each image that is not in @list, what the VM has
 * already, the backing and data files that its header names: libvirt tells a lock driver of the image alone,
 * and not its format either. A raw image may have a header too, one that its guest wrote there. So what no
 * image can be made of is ignored, and once the VM's process has the images open, whatever it has not is
 * given back; in a thread, because libvirt does not call again then.
 */
bool dlk_chain_acquire(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkWish *wishes,
                       size_t count, const char *on_break, DlkFailure *failure);
/**
 * Adds to @found the leases in @list of what the VM's disk @image is made of, as the headers of images say
 * now. To be told, it asks for them once more; what it has not yet is given back at once.
 */
void dlk_chain_find(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkLeaseInfo *image,
                    DlkStrings *found);
