#pragma once

#include "leases.h"

/*
 * What libvirt's hook took for a domain before its start, and no QEMU has taken on. Such a lease is
 * persistent: the hook itself has to give it back.
 */

/** The folder of what hooks remember from one call to the next. */
#define DLK_LEFTOVER_RUN_FOLDER "/run/disklock-libvirt"

/**
 * Gives back what is left over of @vm, and does not wait long for a service that does not answer. What cannot
 * be given back is noted for dlk_leftover_release_noted(). False with @failure.
 */
bool dlk_leftover_release(DlkBus *bus, const DlkVm *vm, DlkFailure *failure);
/** The same, of a bus that cannot even be reached. */
void dlk_leftover_note(const DlkVm *vm);
/**
 * Gives back what could not be given back earlier, of whichever domain; what still cannot be stays noted, and
 * is told on stderr. The domain with the UUID @starting ("": none) starts again and takes its own on: that is
 * not given back any more.
 */
void dlk_leftover_release_noted(DlkBus *bus, const char *starting);
