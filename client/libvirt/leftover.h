#pragma once

#include "leases.h"

/*
 * What libvirt's hook took for a domain before its start, and no QEMU has taken on. Such a lease is
 * persistent: the hook itself has to give it back.
 */

/** The folder of what hooks remember from one call to the next. */
#define DLK_LEFTOVER_RUN_FOLDER "/run/disklock-libvirt"

/**
 * Notes that what is left over of @vm is to be given back: before it is tried, for the hook may be killed. A
 * domain without a UUID is not noted; where it cannot be, stderr says so.
 */
void dlk_leftover_note(const DlkVm *vm);
/**
 * Gives back what is left over of @vm, by its name and by the one that is noted, and takes the note away; or
 * leaves it to another hook that is at it. Does not wait long for a service that does not answer, nor for
 * storage at all. False with @failure, and the note stays.
 */
bool dlk_leftover_release(DlkBus *bus, const DlkVm *vm, DlkFailure *failure);
/**
 * Gives back what is noted, of whichever domain, as far as that goes within ten seconds; what still cannot
 * be given back stays noted, and is told on stderr. @starting (%NULL: none) starts again and takes its own
 * on: that is not given back any more, but what is noted by a name that it had before. False with @failure
 * where that cannot be given back, or another hook is giving it back and does not come to an end.
 */
bool dlk_leftover_release_noted(DlkBus *bus, const DlkVm *starting, DlkFailure *failure);
