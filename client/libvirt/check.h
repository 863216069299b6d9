#pragma once

#include "leases.h"

/*
 * What is taken along with an image is looked after once QEMU has opened the image: in a thread, because
 * libvirt does not call again then. While somebody is at work on the leases of a VM, by its turn, no thread
 * gives any of them back.
 */

/** DlkTurn: who may change the leases of one VM, in this process. The string is borrowed. */
typedef struct {
    const char *uuid;
} DlkTurn;

/** Waits until nobody else is at work on the VM's leases. */
void dlk_turn_take(DlkTurn *self, const DlkVm *vm);
/** Nothing where it was not taken. */
void dlk_turn_end(DlkTurn *self);
#define DLK_AUTOTURN __attribute__((cleanup(dlk_turn_end))) DlkTurn

/** Is the lease @object one that may be given back a moment later? By the VM's turn. */
bool dlk_check_has(const DlkVm *vm, const char *object);
/** It is not given back any more, unless it is handed to dlk_check_later() again. By the VM's turn. */
void dlk_check_forget(const DlkVm *vm, const char *object);
/**
 * Once the VM's process has all of @images open, those of @leases, objects, that it has not are given back,
 * and the read-only ones that it writes to are made exclusive. By the VM's turn.
 */
void dlk_check_later(const DlkVm *vm, const DlkWish *images, size_t count, const DlkStrings *leases);
/**
 * Makes the read-only @lease of what the VM has begun to write to exclusive. False with @failure; where that
 * is to be @told, libvirt's log says what to do about it.
 */
bool dlk_check_claim(DlkBus *bus, const DlkVm *vm, const DlkLeaseInfo *lease, bool told, DlkFailure *failure);
