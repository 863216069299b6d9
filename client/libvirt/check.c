#include "check.h"

#include "report.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* How long QEMU may take to open an image. */
#define LOOKS 240
#define LOOK_INTERVAL_NS 250000000
#define PATIENCE 10 /* s: who wants to plug a disk meanwhile waits for that */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* ---- turns ---- */

static DlkStrings taken; /* UUIDs */

void
dlk_turn_take(DlkTurn *self, const DlkVm *vm)
{
    pthread_mutex_lock(&mutex);
    while (dlk_strings_has(&taken, vm->uuid))
        pthread_cond_wait(&changed, &mutex);
    dlk_strings_add(&taken, vm->uuid);
    self->uuid = vm->uuid;
    pthread_mutex_unlock(&mutex);
}

void
dlk_turn_end(DlkTurn *self)
{
    if (!self->uuid)
        return;
    pthread_mutex_lock(&mutex);
    dlk_strings_remove(&taken, self->uuid);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* ---- what a thread looks after ---- */

typedef struct {
    char *path;
    char *disk; /* its identity, or %NULL */
    bool is_written;
} Image;

typedef struct Check {
    char *name, *uuid;
    pid_t pid;
    Image *images;
    size_t n_images;
    DlkStrings leases; /* objects: what was taken along, and is to be settled yet; by the VM's turn */
    struct Check *next;
} Check;

static Check *checks;

static DlkVm
vm_of(const Check *self)
{
    return (DlkVm){self->name, self->uuid, self->pid};
}

static void
check_free(Check *self)
{
    for (size_t i = 0; i < self->n_images; i++) {
        free(self->images[i].path);
        free(self->images[i].disk);
    }
    free(self->images);
    free(self->name);
    free(self->uuid);
    dlk_strings_clear(&self->leases);
    free(self);
}

/* Nobody who has the VM's turn is looking at it. */
static void
unlist(Check *self)
{
    const DlkVm vm = vm_of(self);
    DLK_AUTOTURN turn = {0};

    dlk_turn_take(&turn, &vm);
    pthread_mutex_lock(&mutex);
    Check **place = &checks;
    while (*place != self)
        place = &(*place)->next;
    *place = self->next;
    pthread_mutex_unlock(&mutex);
}

bool
dlk_check_has(const DlkVm *vm, const char *object)
{
    bool has = false;

    pthread_mutex_lock(&mutex);
    for (const Check *check = checks; check && !has; check = check->next)
        has = strcmp(check->uuid, vm->uuid) == 0 && dlk_strings_has(&check->leases, object);
    pthread_mutex_unlock(&mutex);
    return has;
}

void
dlk_check_forget(const DlkVm *vm, const char *object)
{
    pthread_mutex_lock(&mutex);
    for (Check *check = checks; check; check = check->next)
        if (strcmp(check->uuid, vm->uuid) == 0)
            dlk_strings_remove(&check->leases, object);
    pthread_mutex_unlock(&mutex);
}

/* ---- how far QEMU is ---- */

/*
 * In how many looks in a row. With a single one a file may be overlooked that QEMU opens, or begins to write
 * to, at this very moment; and a data file is opened later than its image, by another command of libvirt's.
 */
typedef struct {
    int open;    /* all images were */
    int written; /* and for writing, those that are to be written to */
    bool last;   /* there will be no further look */
} Progress;

#define SEEN 2
#define CLOSED 8 /* two seconds */

static Progress
look_at_images(const Check *self, Progress before, bool last)
{
    Progress found = {before.open + 1, before.written + 1, last};

    for (size_t i = 0; i < self->n_images; i++) {
        const Image *image = &self->images[i];
        const DlkOpen open = dlk_process_has_open(self->pid, image->disk, image->path);

        if (open == DLK_OPEN_NO || (open == DLK_OPEN_UNKNOWN && !last))
            found.open = 0;
        if (open == DLK_OPEN_NO || (image->is_written && open != DLK_OPEN_WRITABLE))
            found.written = 0;
    }
    return found;
}

/* What the kernel cannot look up can be found by that among what is open. */
static void
learn_identities(Check *self)
{
    const DlkVm vm = vm_of(self);
    DLK_AUTOFAILURE ignored = {0};
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};

    if (!dlk_bus_open(&bus, PATIENCE, &ignored) || !dlk_leases_list(&bus, &vm, &list, &ignored))
        return;
    for (size_t i = 0; i < self->n_images; i++) {
        const DlkLeaseInfo *lease = dlk_leases_find_named(&list, self->images[i].path);

        if (lease)
            self->images[i].disk = dlk_copy(lease->disk);
    }
}

/* ---- what comes of it ---- */

bool
dlk_check_claim(DlkBus *bus, const DlkVm *vm, const DlkLeaseInfo *lease, bool told, DlkFailure *failure)
{
    if (dlk_lease_convert(bus, lease->object, "exclusive", failure))
        return true;
    if (!told)
        return false;
    DLK_AUTOFREE char *message = dlk_format(
        "%s writes to %s under a lease that is read-only and cannot become exclusive: %s; see who "
        "has it: disklockctl inspect %s; when nobody else has, start %s anew, or suspend and resume "
        "it (meanwhile others may take its disks)",
        vm->name, lease->path, failure->text ? failure->text : "nobody says why", lease->path, vm->name);
    dlk_report(dlk_failure_is(failure, DLK_ERROR_BUSY), message);
    return false;
}

/*
 * What is on the network cannot be seen in a process, and is nothing that libvirt has locked. What is not
 * seen to be closed stays. False: another look is needed.
 */
static bool
settle(DlkBus *bus, const DlkVm *vm, const DlkLeaseInfo *lease, Progress progress)
{
    DLK_AUTOFAILURE ignored = {0};
    const bool is_file = *lease->path == '/';
    const DlkOpen open = is_file ? dlk_lease_is_open(bus, vm, lease) : DLK_OPEN_NO;

    if (open == DLK_OPEN_WRITABLE)
        return !dlk_lease_is_read_only(lease) || dlk_check_claim(bus, vm, lease, progress.last, &ignored);
    if (open == DLK_OPEN_READ_ONLY)
        return progress.written >= SEEN;
    if (open == DLK_OPEN_UNKNOWN || (is_file && progress.written < CLOSED && !progress.last))
        return progress.last;
    dlk_lease_call(bus, lease->object, "Release", &ignored);
    return true;
}

/* libvirt has QEMU open a chain from its end: with the image everything below is open. True: nothing is left
 * to be settled. */
static bool
settle_all(Check *self, Progress progress)
{
    const DlkVm vm = vm_of(self);
    DLK_AUTOFAILURE ignored = {0};
    DLK_AUTOTURN turn = {0};
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};
    DLK_AUTOSTRINGS before = {0};

    dlk_turn_take(&turn, &vm);
    if (self->leases.count == 0)
        return true;
    if (!dlk_bus_open(&bus, PATIENCE, &ignored) || !dlk_leases_list(&bus, &vm, &list, &ignored))
        return false;
    before = self->leases;
    self->leases = (DlkStrings){0};
    for (size_t i = 0; i < list.count; i++) {
        const DlkLeaseInfo *lease = &list.items[i];

        if (dlk_strings_has(&before, lease->object) && !settle(&bus, &vm, lease, progress))
            dlk_strings_add(&self->leases, lease->object);
    }
    return self->leases.count == 0;
}

static bool
has_ended(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

/* What came along stays: that is safe, unless it is written to. */
static void
tell_unsettled(const char *name)
{
    DLK_AUTOFREE char *message =
        dlk_format("nobody could see what %s has open of the files that came with a disk: their leases are "
                   "read-only until it is suspended and resumed (meanwhile others may take its disks), or "
                   "started anew",
                   name);

    dlk_report(false, message);
}

static void *
run(void *data)
{
    Check *self = data;
    const struct timespec interval = {.tv_nsec = LOOK_INTERVAL_NS};
    Progress progress = {0};
    bool done = false;

    learn_identities(self);
    for (int i = 1; i <= LOOKS && !done && !has_ended(self->pid); i++) {
        nanosleep(&interval, NULL);
        progress = look_at_images(self, progress, i == LOOKS);
        if (progress.open >= SEEN || (progress.open > 0 && progress.last))
            done = settle_all(self, progress);
    }
    unlist(self);
    if (self->leases.count > 0 && !has_ended(self->pid))
        tell_unsettled(self->name);
    check_free(self);
    return NULL;
}

/* Takes @self. libvirtd's signals are its own threads' business. */
static void
start(Check *self)
{
    sigset_t all, before;
    pthread_t thread;

    pthread_mutex_lock(&mutex);
    self->next = checks;
    checks = self;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, run, self) == 0) {
        pthread_detach(thread);
    } else {
        checks = self->next;
        tell_unsettled(self->name);
        check_free(self);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_unlock(&mutex);
}

void
dlk_check_later(const DlkVm *vm, const DlkWish *images, size_t count, const DlkStrings *leases)
{
    if (leases->count == 0)
        return;
    Check *check = dlk_allocate(sizeof *check);

    check->name = dlk_copy(vm->name);
    check->uuid = dlk_copy(vm->uuid);
    check->pid = vm->pid;
    check->images = dlk_allocate(sizeof *check->images * (count + 1));
    check->n_images = count;
    for (size_t i = 0; i < count; i++)
        check->images[i] = (Image){.path = dlk_copy(images[i].path),
                                   .is_written = strcmp(images[i].mode, DLK_READ_ONLY) != 0};
    for (size_t i = 0; i < leases->count; i++)
        dlk_strings_add(&check->leases, leases->items[i]);
    start(check);
}
