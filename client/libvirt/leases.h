#pragma once

#include "bus.h"
#include "process.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** DlkVm: whose leases they are. The strings are borrowed. */
typedef struct {
    const char *name;
    const char *uuid;
    pid_t pid; /* QEMU's; 0: there is none */
} DlkVm;

/** DlkLeaseInfo: a lease of a VM, as ListLeases tells it. */
typedef struct {
    char *object;
    char *path; /* as it was asked for */
    char *disk; /* its canonical identity */
    char *mode;
    char *state;
    char *lifetime;
    pid_t pid;
    bool is_data_file; /* of an image */
} DlkLeaseInfo;

typedef struct {
    DlkLeaseInfo *items;
    size_t count;
} DlkLeaseList;

/** Every lease under the VM's name and UUID that is not broken. False with @failure. */
bool dlk_leases_list(DlkBus *bus, const DlkVm *vm, DlkLeaseList *list, DlkFailure *failure);
/** As dlk_leases_list(), with those that are broken. */
bool dlk_leases_list_all(DlkBus *bus, const DlkVm *vm, DlkLeaseList *list, DlkFailure *failure);
void dlk_leases_clear(DlkLeaseList *list);
#define DLK_AUTOLEASES __attribute__((cleanup(dlk_leases_clear))) DlkLeaseList

/** The lease that was taken by the name @path; borrowed, or %NULL. */
const DlkLeaseInfo *dlk_leases_find_named(const DlkLeaseList *list, const char *path);
/** The lease of the disk that is called @path, by that or another name; borrowed, or %NULL. */
const DlkLeaseInfo *dlk_leases_find(DlkBus *bus, const DlkLeaseList *list, const char *path);

#define DLK_READ_ONLY "read-only"
bool dlk_lease_is_read_only(const DlkLeaseInfo *lease);
/**
 * How does the VM's process have the lease's disk open? DLK_OPEN_NO is certain: what cannot be seen, a
 * network disk for instance, is DLK_OPEN_UNKNOWN.
 */
DlkOpen dlk_lease_is_open(DlkBus *bus, const DlkVm *vm, const DlkLeaseInfo *lease);
/** A call without arguments of the lease @object: Release, Suspend, Resume. */
bool dlk_lease_call(DlkBus *bus, const char *object, const char *member, DlkFailure *failure);
/** The same, without waiting for the answer, good or bad. False with @failure: it could not even be sent. */
bool dlk_lease_send(DlkBus *bus, const char *object, const char *member, DlkFailure *failure);
/** To @mode: "exclusive", "shared" or DLK_READ_ONLY. False with @failure, and it is what it was. */
bool dlk_lease_convert(DlkBus *bus, const char *object, const char *mode, DlkFailure *failure);

/** DlkWish: one disk that a VM needs; borrowed strings. */
typedef struct {
    const char *path;
    const char *mode;
} DlkWish;

/**
 * Takes @wishes for @vm, all or none; leases that it has already are adopted. They end with the VM's process,
 * or, where it has none, when they are released. @on_break: %NULL: what the policy says. @along: the backing
 * and data files that the images' headers name are taken as well, read-only. @objects: %NULL, or what the
 * leases are added to, those of @wishes first, in their order.
 */
bool dlk_leases_acquire(DlkBus *bus, const DlkVm *vm, const DlkWish *wishes, size_t count,
                        const char *on_break, bool along, DlkStrings *objects, DlkFailure *failure);
