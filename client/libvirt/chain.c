#include "chain.h"

#include "text.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* How long QEMU may take to open an image. */
#define LOOKS 240
#define LOOK_INTERVAL_NS 250000000
#define PATIENCE 30 /* s */

/* What the thread looks after; all of it its own. */
typedef struct {
    char *name, *uuid;
    pid_t pid;
    DlkStrings images;   /* paths */
    const char *written; /* the mode of a data file that is written to; %NULL: no image is */
    DlkStrings leases;   /* objects: what was taken along, and is to be settled yet */
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

/* How far QEMU is. With a single look a file may be overlooked that it opens, or begins to write to, at this
 * very moment: what two looks in a row find counts. */
typedef struct {
    bool open;    /* all images */
    bool written; /* and for writing, those that are to be written to */
    bool last;    /* there will be no further look */
} Progress;

static Progress
look_at_images(const Check *self, bool last)
{
    Progress found = {true, true, last};

    for (size_t i = 0; i < self->images.count; i++) {
        const DlkOpen open = dlk_process_has_open(self->pid, NULL, self->images.items[i]);

        found.open &= open != DLK_OPEN_NO && (last || open != DLK_OPEN_UNKNOWN);
        found.written &= !self->written || open == DLK_OPEN_WRITABLE;
    }
    return found;
}

/*
 * What is on the network cannot be seen in a process, and is nothing that libvirt has locked. What is not seen
 * to be closed stays. False: another look is needed.
 */
static bool
settle(DlkBus *bus, const DlkVm *vm, const Check *self, const DlkLeaseInfo *lease, Progress progress)
{
    DLK_AUTOFAILURE ignored = {0};
    const DlkOpen open = is_file(lease->path) ? dlk_lease_is_open(bus, vm, lease) : DLK_OPEN_NO;

    if (open == DLK_OPEN_WRITABLE && self->written && dlk_lease_is_read_only(lease))
        return dlk_lease_convert(bus, lease->object, self->written, &ignored);
    if (open == DLK_OPEN_WRITABLE)
        return true;
    if (open == DLK_OPEN_READ_ONLY)
        return progress.written;
    if (open == DLK_OPEN_UNKNOWN)
        return progress.last;
    dlk_lease_call(bus, lease->object, "Release", &ignored);
    return true;
}

/* libvirt has QEMU open a chain from its end: with the image everything below is open. */
static void
settle_all(Check *self, Progress progress)
{
    const DlkVm vm = {self->name, self->uuid, self->pid};
    DLK_AUTOFAILURE ignored = {0};
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};
    DLK_AUTOSTRINGS before = self->leases;

    self->leases = (DlkStrings){0};
    if (!dlk_bus_open(&bus, PATIENCE, &ignored) || !dlk_leases_list(&bus, &vm, &list, &ignored)) {
        self->leases = before;
        before = (DlkStrings){0};
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        const DlkLeaseInfo *lease = &list.items[i];

        if (dlk_strings_has(&before, lease->object) && !settle(&bus, &vm, self, lease, progress))
            dlk_strings_add(&self->leases, lease->object);
    }
}

static void *
run(void *data)
{
    Check *self = data;
    const struct timespec interval = {.tv_nsec = LOOK_INTERVAL_NS};
    Progress before = {0};

    for (int i = 1; i <= LOOKS && self->leases.count > 0 && (kill(self->pid, 0) == 0 || errno != ESRCH);
         i++) {
        nanosleep(&interval, NULL);
        const Progress now = look_at_images(self, i == LOOKS);
        if (now.open && (before.open || now.last))
            settle_all(self, (Progress){true, before.written && now.written, now.last});
        before = now;
    }
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

/* Which image a data file is part of is not known: where one of them is shared, its data file is. */
static const char *
written_mode(const char *so_far, const char *mode)
{
    if (strcmp(mode, DLK_READ_ONLY) == 0 || (so_far && strcmp(so_far, "shared") == 0))
        return so_far;
    return strcmp(mode, "shared") == 0 ? "shared" : "exclusive";
}

/* @along is what came with @images: what the VM had before is none of it. */
static void
check_later(const DlkVm *vm, const DlkLeaseList *list, DlkStrings *images, const char *written,
            const DlkStrings *along)
{
    Check *check = dlk_allocate(sizeof *check);

    check->name = dlk_copy(vm->name);
    check->uuid = dlk_copy(vm->uuid);
    check->pid = vm->pid;
    check->written = written;
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
    const char *written = NULL;

    for (size_t i = 0; vm->pid > 0 && i < count; i++) {
        if (!is_file(wishes[i].path) || is_listed(list, wishes[i].path, NULL))
            continue;
        dlk_strings_add(&images, wishes[i].path);
        written = written_mode(written, wishes[i].mode);
    }
    if (images.count == 0)
        return dlk_leases_acquire(bus, vm, wishes, count, on_break, NULL, failure);
    if (dlk_leases_acquire(bus, vm, wishes, count, on_break, &along, failure)) {
        check_later(vm, list, &images, written, &along);
        return true;
    }
    /* The image itself, or what its header names, leads to no disk, or the header makes no sense. */
    if (!dlk_failure_is(failure, SD_BUS_ERROR_INVALID_ARGS) && !dlk_failure_is(failure, DLK_ERROR_NOT_A_DISK))
        return false;
    dlk_failure_clear(failure);
    return dlk_leases_acquire(bus, vm, wishes, count, on_break, NULL, failure);
}
