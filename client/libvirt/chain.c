#include "chain.h"

#include "process.h"
#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* How long QEMU may take to open an image; after that, what was taken along stays until libvirt is done with
 * it. */
#define LOOKS 240
#define LOOK_INTERVAL_NS 250000000
#define PATIENCE 30 /* s */

/* What the thread looks after; all of it its own. */
typedef struct {
    char *name, *uuid;
    pid_t pid;
    DlkStrings images; /* paths */
    DlkStrings leases; /* objects: what was taken along */
} Check;

static void
check_free(Check *self)
{
    free(self->name);
    free(self->uuid);
    dlk_strings_clear(&self->images);
    dlk_strings_clear(&self->leases);
    free(self);
}

static bool
is_file(const char *path)
{
    return *path == '/';
}

static bool
has_all_open(const Check *self)
{
    for (size_t i = 0; i < self->images.count; i++) {
        const DlkOpen open = dlk_process_has_open(self->pid, self->images.items[i]);

        if (open != DLK_OPEN_READ_ONLY && open != DLK_OPEN_WRITABLE)
            return false;
    }
    return true;
}

/* What is on the network cannot be seen in a process, and is nothing that libvirt has locked. */
static void
release_unused(const Check *self)
{
    const DlkVm vm = {self->name, self->uuid, self->pid};
    DLK_AUTOFAILURE ignored = {0};
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};

    if (!dlk_bus_open(&bus, PATIENCE, &ignored) || !dlk_leases_list(&bus, &vm, &list, &ignored))
        return;
    for (size_t i = 0; i < list.count; i++) {
        const DlkLeaseInfo *lease = &list.items[i];

        if (dlk_strings_has(&self->leases, lease->object) &&
            (!is_file(lease->path) || dlk_process_has_open(vm.pid, lease->path) == DLK_OPEN_NO))
            dlk_lease_call(&bus, lease->object, "Release", &ignored);
    }
}

/* libvirt has QEMU open a chain from its end: with the image everything below is open. */
static void *
run(void *data)
{
    Check *self = data;
    const struct timespec interval = {.tv_nsec = LOOK_INTERVAL_NS};
    bool open = false;

    for (int i = 0; i < LOOKS && !open && (kill(self->pid, 0) == 0 || errno != ESRCH); i++) {
        nanosleep(&interval, NULL);
        open = has_all_open(self);
    }
    if (open)
        release_unused(self);
    check_free(self);
    return NULL;
}

/* Takes @self. libvirtd's signals are its own threads' business. */
static void
start(Check *self)
{
    sigset_t all, before;
    pthread_t thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, run, self) == 0)
        pthread_detach(thread);
    else
        check_free(self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool
is_listed(const DlkLeaseList *list, const char *path, const char *object)
{
    for (size_t i = 0; i < list->count; i++)
        if ((path && strcmp(list->items[i].path, path) == 0) ||
            (object && strcmp(list->items[i].object, object) == 0))
            return true;
    return false;
}

/* @along is what came with @images: what the VM had before is none of it. */
static void
check_later(const DlkVm *vm, const DlkLeaseList *list, DlkStrings *images, const DlkStrings *along)
{
    Check *check = dlk_allocate(sizeof *check);

    check->name = dlk_copy(vm->name);
    check->uuid = dlk_copy(vm->uuid);
    check->pid = vm->pid;
    check->images = *images;
    *images = (DlkStrings){0};
    for (size_t i = 0; i < along->count; i++)
        if (!is_listed(list, NULL, along->items[i]))
            dlk_strings_add(&check->leases, along->items[i]);
    if (check->leases.count > 0)
        start(check);
    else
        check_free(check);
}

bool
dlk_chain_acquire(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkWish *wishes, size_t count,
                  const char *on_break, DlkFailure *failure)
{
    DLK_AUTOSTRINGS images = {0}, along = {0};

    for (size_t i = 0; vm->pid > 0 && i < count; i++)
        if (is_file(wishes[i].path) && !is_listed(list, wishes[i].path, NULL))
            dlk_strings_add(&images, wishes[i].path);
    if (images.count == 0)
        return dlk_leases_acquire(bus, vm, wishes, count, on_break, NULL, failure);
    if (dlk_leases_acquire(bus, vm, wishes, count, on_break, &along, failure)) {
        check_later(vm, list, &images, &along);
        return true;
    }
    if (!failure->misnamed)
        return false;
    dlk_failure_clear(failure);
    return dlk_leases_acquire(bus, vm, wishes, count, on_break, NULL, failure);
}

void
dlk_chain_find(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkLeaseInfo *image,
               DlkStrings *found)
{
    const DlkWish wish = {image->path, image->mode};
    DLK_AUTOSTRINGS along = {0};
    DLK_AUTOFAILURE ignored = {0};

    if (!dlk_leases_acquire(bus, vm, &wish, 1, NULL, &along, &ignored))
        return;
    for (size_t i = 0; i < along.count; i++)
        if (is_listed(list, NULL, along.items[i]))
            dlk_strings_add(found, along.items[i]);
        else
            dlk_lease_call(bus, along.items[i], "Release", &ignored);
}
