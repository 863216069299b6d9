#include "lock.h"

#include "chain.h"
#include "check.h"
#include "inspect.h"
#include "text.h"

#include <string.h>

/* disklockd itself gives up on dead storage after its policy's unreachable-after, by default 10 s. */
#define PATIENCE 30 /* s */

static bool
is_suspended(const DlkLeaseInfo *lease)
{
    return strcmp(lease->state, "suspended") == 0;
}

static bool
open_list(const DlkVm *vm, DlkBus *bus, DlkLeaseList *list, DlkFailure *failure)
{
    return dlk_bus_open(bus, PATIENCE, failure) && dlk_leases_list(bus, vm, list, failure);
}

/* As long as @turn lasts no thread of ours gives anything back. Waiting for it counts as PATIENCE does. */
static bool
open_turn(const DlkVm *vm, DlkTurn *turn, DlkBus *bus, DlkLeaseList *list, DlkFailure *failure)
{
    if (!dlk_bus_open(bus, PATIENCE, failure))
        return false;
    dlk_turn_take(turn, vm);
    return dlk_leases_list(bus, vm, list, failure);
}

/* ---- what is undone where the whole fails ---- */

typedef struct {
    const DlkLeaseInfo *lease;
    bool resumed; /* else converted */
} Step;

typedef struct {
    Step *items;
    size_t count;
} Steps;

static void
add_step(Steps *steps, const DlkLeaseInfo *lease, bool resumed)
{
    steps->items = dlk_grow(steps->items, steps->count, sizeof *steps->items);
    steps->items[steps->count++] = (Step){lease, resumed};
}

static void
undo(DlkBus *bus, const Steps *steps)
{
    for (size_t i = steps->count; i > 0; i--) {
        const Step *step = &steps->items[i - 1];
        DLK_AUTOFAILURE ignored = {0};

        if (step->resumed)
            dlk_lease_call(bus, step->lease->object, "Suspend", &ignored);
        else
            dlk_lease_convert(bus, step->lease->object, step->lease->mode, &ignored);
    }
}

/* ---- taking ---- */

/* One call of libvirt's. */
typedef struct {
    DlkBus *bus;
    const DlkVm *vm;
    const DlkLeaseList *list;
    const char *on_break;
    Steps steps;
    /* What is not the VM's yet, or not yet its process's, goes into one set. */
    DlkWish *missing;
    size_t n_missing;
} Work;

static bool
is_missing(const Work *work, const char *path)
{
    for (size_t i = 0; i < work->n_missing; i++)
        if (strcmp(work->missing[i].path, path) == 0)
            return true;
    return false;
}

static void
add_missing(Work *work, const char *path, const char *mode)
{
    if (is_missing(work, path))
        return;
    work->missing = dlk_grow(work->missing, work->n_missing, sizeof *work->missing);
    work->missing[work->n_missing++] = (DlkWish){path, mode};
}

static bool
resume(Work *work, const DlkLeaseInfo *lease, DlkFailure *failure)
{
    if (!is_suspended(lease))
        return true;
    for (size_t i = 0; i < work->steps.count; i++)
        if (work->steps.items[i].lease == lease && work->steps.items[i].resumed)
            return true;
    if (!dlk_lease_call(work->bus, lease->object, "Resume", failure))
        return false;
    add_step(&work->steps, lease, true);
    return true;
}

static bool
meet(Work *work, const DlkWish *wish, DlkFailure *failure)
{
    const DlkLeaseInfo *lease = dlk_leases_find(work->bus, work->list, wish->path);

    if (lease && !resume(work, lease, failure))
        return false;
    if (lease && strcmp(lease->mode, wish->mode) != 0) {
        if (!dlk_lease_convert(work->bus, lease->object, wish->mode, failure))
            return false;
        add_step(&work->steps, lease, false);
    }
    if (!lease || lease->pid != work->vm->pid || dlk_check_has(work->vm, lease->object))
        add_missing(work, wish->path, wish->mode);
    return true;
}

/* What the hook has taken, and libvirt does not speak of: backing files, the machine's own state. */
static void
adopt_rest(Work *work)
{
    for (size_t i = 0; work->vm->pid > 0 && i < work->list->count; i++)
        if (work->list->items[i].pid != work->vm->pid)
            add_missing(work, work->list->items[i].path, work->list->items[i].mode);
}

/* All but the first @n_taken. */
static bool
take_missing(const Work *work, size_t n_taken, DlkFailure *failure)
{
    return work->n_missing == n_taken ||
           dlk_leases_acquire(work->bus, work->vm, work->missing + n_taken, work->n_missing - n_taken,
                              work->on_break, false, NULL, failure);
}

/* A libvirtd that was started anew does not know what Release once told its predecessor. */
static bool
has_all(const Work *work, const DlkWish *wishes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const DlkLeaseInfo *lease = dlk_leases_find(work->bus, work->list, wishes[i].path);

        if (!lease || strcmp(lease->mode, wishes[i].mode) != 0)
            return false;
    }
    return true;
}

static bool
acquire(Work *work, const DlkWish *wishes, size_t count, bool resuming, DlkFailure *failure)
{
    const bool all = resuming || has_all(work, wishes, count);

    for (size_t i = 0; all && i < work->list->count; i++)
        if (!resume(work, &work->list->items[i], failure))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!meet(work, &wishes[i], failure))
            return false;
    adopt_rest(work);
    return work->n_missing == 0 || dlk_chain_acquire(work->bus, work->vm, work->list, work->missing,
                                                     work->n_missing, work->on_break, failure);
}

/* Of data files that another had read-only when QEMU began to write to them. */
static void
claim_written(const Work *work)
{
    for (size_t i = 0; i < work->list->count; i++) {
        const DlkLeaseInfo *lease = &work->list->items[i];
        DLK_AUTOFAILURE ignored = {0};

        if (lease->is_data_file && dlk_lease_is_read_only(lease) &&
            dlk_lease_is_open(work->bus, work->vm, lease) == DLK_OPEN_WRITABLE)
            dlk_check_claim(work->bus, work->vm, lease, true, &ignored);
    }
}

static bool
finish(Work *work, bool done)
{
    if (!done)
        undo(work->bus, &work->steps);
    free(work->steps.items);
    free(work->missing);
    return done;
}

bool
dlk_lock_acquire(const DlkVm *vm, const DlkWish *wishes, size_t count, const char *on_break, bool resuming,
                 DlkFailure *failure)
{
    DLK_AUTOTURN turn = {0};
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};
    Work work = {.bus = &bus, .vm = vm, .list = &list, .on_break = on_break};

    if (!open_turn(vm, &turn, &bus, &list, failure) ||
        !finish(&work, acquire(&work, wishes, count, resuming, failure)))
        return false;
    if (resuming)
        claim_written(&work);
    return true;
}

/* ---- before QEMU ---- */

/* Is it another VM of this host that is in the way? */
static bool
is_held_here(DlkBus *bus, const DlkVm *vm, const DlkWish *wish)
{
    DLK_AUTOREPORT report = {0};

    return dlk_report_ask(bus, wish->path, &report) && strcmp(report.state, "held") == 0 &&
           (!report.owner || strcmp(report.owner, vm->name) != 0);
}

static bool
begin(Work *work, const DlkWish *wishes, size_t count, DlkFailure *failure)
{
    adopt_rest(work);
    const size_t n_adopted = work->n_missing;
    if (!take_missing(work, 0, failure))
        return false;
    for (size_t i = 0; i < count; i++)
        add_missing(work, wishes[i].path, wishes[i].mode);
    if (take_missing(work, n_adopted, failure))
        return true;
    if (!dlk_failure_is(failure, DLK_ERROR_BUSY))
        return false;
    for (size_t i = 0; i < count; i++)
        if (is_held_here(work->bus, work->vm, &wishes[i]))
            return false;
    dlk_failure_clear(failure);
    return true;
}

bool
dlk_lock_begin(const DlkVm *vm, const DlkWish *wishes, size_t count, const char *on_break,
               DlkFailure *failure)
{
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};
    Work work = {.bus = &bus, .vm = vm, .list = &list, .on_break = on_break};

    return open_list(vm, &bus, &list, failure) && finish(&work, begin(&work, wishes, count, failure));
}

/* ---- giving back ---- */

static bool
convert(DlkBus *bus, const DlkLeaseInfo *lease, const char *mode, DlkFailure *failure)
{
    return (!is_suspended(lease) || dlk_lease_call(bus, lease->object, "Resume", failure)) &&
           dlk_lease_convert(bus, lease->object, mode, failure);
}

/*
 * Of a domain that is paused libvirt also gives back the overlay of a snapshot that it has just taken. A disk
 * of which the kernel cannot say at once whether it is open counts as read.
 */
static bool
release(DlkBus *bus, const DlkVm *vm, const DlkLeaseInfo *lease, DlkFailure *failure)
{
    const bool is_file = *lease->path == '/';
    const DlkOpen open = is_file && vm->pid > 0 ? dlk_lease_is_open(bus, vm, lease) : DLK_OPEN_NO;

    if (open == DLK_OPEN_WRITABLE || (open != DLK_OPEN_NO && dlk_lease_is_read_only(lease)))
        return true;
    if (open == DLK_OPEN_NO)
        return dlk_lease_call(bus, lease->object, "Release", failure);
    return convert(bus, lease, DLK_READ_ONLY, failure);
}

static bool
is_wished(const DlkLeaseInfo *lease, const DlkLeaseInfo *const *wished, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (wished[i] == lease)
            return true;
    return false;
}

/*
 * With a disk goes its backing chain, and some jobs shorten a chain: libvirt speaks of the top alone. And
 * what was a backing file's data file is written to when the block commit has made a disk of that. What is
 * written to by another process than QEMU, the state of a TPM for instance, looks closed all the time.
 */
static bool
settle_rest(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkLeaseInfo *const *wished,
            size_t count, DlkFailure *failure)
{
    bool done = true;

    for (size_t i = 0; i < list->count; i++) {
        const DlkLeaseInfo *lease = &list->items[i];

        if (lease->pid != vm->pid || is_wished(lease, wished, count) ||
            !(dlk_lease_is_read_only(lease) || lease->is_data_file))
            continue;
        const DlkOpen open = dlk_lease_is_open(bus, vm, lease);
        if (open == DLK_OPEN_NO)
            done = dlk_lease_call(bus, lease->object, "Release", failure) && done;
        else if (open == DLK_OPEN_WRITABLE && dlk_lease_is_read_only(lease))
            done = convert(bus, lease, "exclusive", failure) && done;
    }
    return done;
}

bool
dlk_lock_release(const DlkVm *vm, const DlkWish *wishes, size_t count, DlkFailure *failure)
{
    DLK_AUTOTURN turn = {0};
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};
    DLK_AUTOFREE const DlkLeaseInfo **wished = dlk_allocate(sizeof *wished * (count + 1));
    bool done = true;

    if (!open_turn(vm, &turn, &bus, &list, failure))
        return false;
    for (size_t i = 0; i < count; i++)
        wished[i] = dlk_leases_find(&bus, &list, wishes[i].path);
    for (size_t i = 0; i < count; i++)
        done = (!wished[i] || release(&bus, vm, wished[i], failure)) && done;
    return settle_rest(&bus, vm, &list, wished, count, failure) && done;
}

bool
dlk_lock_suspend(const DlkVm *vm, DlkFailure *failure)
{
    DLK_AUTOBUS bus = {0};
    DLK_AUTOLEASES list = {0};
    bool done = true;

    if (!open_list(vm, &bus, &list, failure))
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (!is_suspended(&list.items[i]))
            done = dlk_lease_call(&bus, list.items[i].object, "Suspend", failure) && done;
    return done;
}
