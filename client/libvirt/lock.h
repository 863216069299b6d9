#pragma once

#include "leases.h"

/*
 * What libvirt's lock driver is asked for, in leases. Every function connects anew, because it may run in a
 * child of libvirtd, and answers within bounded time. False with @failure.
 */

/**
 * Before QEMU opens anything, in the child that becomes it: what the VM has already is this process's from
 * now on, and @wishes are taken. A disk that another host has is passed over, because the VM may be coming
 * from there: dlk_lock_acquire() is called once its CPUs are to run.
 */
bool dlk_lock_begin(const DlkVm *vm, const DlkWish *wishes, size_t count, const char *on_break,
                    DlkFailure *failure);
/**
 * @wishes are what the VM is to have in these modes: leases in another mode are converted, suspended ones
 * resumed, and what is missing is taken. All or nothing. @resuming: the CPUs are to run again, so that
 * whatever is suspended is resumed; so it is where all of @wishes are the VM's already.
 */
bool dlk_lock_acquire(const DlkVm *vm, const DlkWish *wishes, size_t count, const char *on_break,
                      bool resuming, DlkFailure *failure);
/**
 * The VM is done with the disks @wishes. One that its process has open for reading still, as after a
 * snapshot, becomes read-only: it is a backing file now; one that it has open for writing stays. And backing
 * and data files that the process has closed are given back; one that it writes to by now is exclusive.
 */
bool dlk_lock_release(const DlkVm *vm, const DlkWish *wishes, size_t count, DlkFailure *failure);
/** The VM is paused: its leases stay on this host, other hosts may take the disks. */
bool dlk_lock_suspend(const DlkVm *vm, DlkFailure *failure);
