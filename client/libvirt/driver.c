#include "bus.h"
#include "domain-text.h"
#include "leases.h"
#include "lock-driver.h"
#include "lock.h"
#include "report.h"
#include "text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VERSION 1000000

/* What libvirt tells of one domain for one call. */
typedef struct {
    char *name;
    char uuid[DLK_UUID_LENGTH + 1];
    pid_t pid;
    DlkWish *wishes;
    size_t count;
} Domain;

static int
finish(bool done, const DlkFailure *failure)
{
    if (!done)
        dlk_report(dlk_failure_is(failure, DLK_ERROR_BUSY), failure->text);
    return done ? 0 : -1;
}

/* A disklockd that is not there is no reason to fail: without this the whole QEMU driver would be gone. */
static int
initialise(unsigned int version, const char *config_file, unsigned int flags)
{
    if (VIR_LOCK_VERSION_MAJOR(version) == VIR_LOCK_VERSION_MAJOR(VERSION))
        return 0;
    dlk_report(false, "this libvirt speaks another version of the lock driver's interface than disklock.so");
    return -1;
}

static int
finalise(void)
{
    return 0;
}

static void
format_uuid(const unsigned char bytes[16], char text[DLK_UUID_LENGTH + 1])
{
    for (int i = 0; i < 16; i++)
        text += sprintf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
}

static int
new_manager(VirLockManager *manager, unsigned int object_type, size_t n_params, VirLockParam *params,
            unsigned int flags)
{
    if (object_type != VIR_LOCK_OBJECT_DOMAIN) {
        dlk_report(false, "disklock.so locks disks for domains alone");
        return -1;
    }
    Domain *domain = dlk_allocate(sizeof *domain);
    for (size_t i = 0; i < n_params; i++)
        if (strcmp(params[i].key, "uuid") == 0)
            format_uuid(params[i].value.uuid, domain->uuid);
        else if (strcmp(params[i].key, "name") == 0)
            domain->name = dlk_copy(params[i].value.str);
        else if (strcmp(params[i].key, "pid") == 0)
            domain->pid = (pid_t)params[i].value.ui;
    if (!domain->name)
        domain->name = dlk_copy("");
    manager->private_data = domain;
    return 0;
}

static void
free_manager(VirLockManager *manager)
{
    Domain *domain = manager->private_data;

    if (!domain)
        return;
    for (size_t i = 0; i < domain->count; i++)
        free((char *)domain->wishes[i].path);
    free(domain->wishes);
    free(domain->name);
    free(domain);
    manager->private_data = NULL;
}

static const char *
string_param(size_t n_params, const VirLockParam *params, const char *key)
{
    for (size_t i = 0; i < n_params; i++)
        if (strcmp(params[i].key, key) == 0)
            return params[i].value.cstr;
    return NULL;
}

/* The name that AcquireDomain gives a <lease>: service/model/domain-machine.c. */
static char *
lease_name(const char *key, size_t n_params, const VirLockParam *params)
{
    const char *lockspace = string_param(n_params, params, "lockspace");
    const char *path = string_param(n_params, params, "path");
    DLK_AUTOFREE char *space = dlk_escape_uri(lockspace && *lockspace ? lockspace : path ? path : "");
    DLK_AUTOFREE char *name = dlk_escape_uri(key);

    return dlk_format("lease:///%s/%s", space, name);
}

static int
add_resource(VirLockManager *manager, unsigned int type, const char *name, size_t n_params,
             VirLockParam *params, unsigned int flags)
{
    Domain *domain = manager->private_data;
    DlkWish wish = {NULL, flags & VIR_LOCK_READONLY ? DLK_READ_ONLY
                          : flags & VIR_LOCK_SHARED ? "shared"
                                                    : "exclusive"};

    if (type == VIR_LOCK_RESOURCE_DISK) {
        wish.path = dlk_copy(name);
    } else if (type == VIR_LOCK_RESOURCE_LEASE) {
        wish.path = lease_name(name, n_params, params);
    } else {
        DLK_AUTOFREE char *message = dlk_format("disklock.so does not know resources of type %u", type);
        dlk_report(false, message);
        return -1;
    }
    domain->wishes = dlk_grow(domain->wishes, domain->count, sizeof *domain->wishes);
    domain->wishes[domain->count++] = wish;
    return 0;
}

static DlkVm
vm_of(const Domain *domain)
{
    return (DlkVm){domain->name, domain->uuid, domain->pid};
}

/* What is to happen to QEMU if a lock is lost; %NULL: what the policy says. */
static bool
choose_on_break(VirLockFailure action, const char **on_break, DlkFailure *failure)
{
    *on_break = NULL;
    if (action == VIR_LOCK_FAILURE_RESTART)
        return dlk_fail(
            failure, "disklock cannot do what <on_lockfailure>restart</on_lockfailure> asks for: whoever has "
                     "lost a disk must not open it again; use poweroff, pause or ignore");
    if (action == VIR_LOCK_FAILURE_POWEROFF)
        *on_break = "kill";
    else if (action == VIR_LOCK_FAILURE_PAUSE)
        *on_break = "pause";
    else if (action == VIR_LOCK_FAILURE_IGNORE)
        *on_break = "signal";
    return true;
}

/* @fd is for the child that becomes QEMU alone. */
static int
acquire(VirLockManager *manager, const char *state, unsigned int flags, VirLockFailure action, int *fd)
{
    const Domain *domain = manager->private_data;
    DLK_AUTOFAILURE failure = {0};
    DlkVm vm = vm_of(domain);
    const char *on_break = NULL;

    if (fd) {
        *fd = -1;
        vm.pid = getpid();
    }
    bool done = choose_on_break(action, &on_break, &failure);
    if (done && flags & VIR_LOCK_REGISTER_ONLY)
        done = dlk_lock_begin(&vm, domain->wishes, domain->count, on_break, &failure);
    else if (done)
        done = dlk_lock_acquire(&vm, domain->wishes, domain->count, on_break, state != NULL, &failure);
    return finish(done, &failure);
}

/*
 * libvirt asks for a state where it stops the CPUs, and gives it back where it starts them; it asks for none
 * where the domain is done with a disk. The state itself is in the leases.
 */
static int
release(VirLockManager *manager, char **state, unsigned int flags)
{
    const Domain *domain = manager->private_data;
    DLK_AUTOFAILURE failure = {0};
    DlkVm vm = vm_of(domain);

    if (state)
        *state = dlk_copy("suspended");
    bool done = state ? dlk_lock_suspend(&vm, &failure)
                      : dlk_lock_release(&vm, domain->wishes, domain->count, &failure);
    return finish(done, &failure);
}

static int
inquire(VirLockManager *manager, char **state, unsigned int flags)
{
    if (state)
        *state = NULL;
    return 0;
}

VirLockDriver virLockDriverImpl = {
    .version = VERSION,
    .init = initialise,
    .deinit = finalise,
    .new_manager = new_manager,
    .free_manager = free_manager,
    .add_resource = add_resource,
    .acquire = acquire,
    .release = release,
    .inquire = inquire,
};
