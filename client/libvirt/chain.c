#include "chain.h"

#include "check.h"

#include <string.h>

/* One of the disks, or what a header names, leads to none, or a header makes no sense. */
static bool
is_nonsense(const DlkFailure *failure)
{
    return dlk_failure_is(failure, SD_BUS_ERROR_INVALID_ARGS) ||
           dlk_failure_is(failure, DLK_ERROR_NOT_A_DISK);
}

static bool
has_object(const DlkLeaseList *list, const char *object)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].object, object) == 0)
            return true;
    return false;
}

/* An image's own header is of interest where the VM is only about to open it. */
static bool
is_new_image(const DlkVm *vm, const DlkLeaseList *list, const DlkWish *wish)
{
    const DlkLeaseInfo *lease = dlk_leases_find_named(list, wish->path);

    return *wish->path == '/' && (!lease || dlk_check_has(vm, lease->object));
}

/* What the VM had before is none of it. */
static void
give_back(DlkBus *bus, const DlkLeaseList *list, const DlkStrings *objects)
{
    DLK_AUTOFAILURE ignored = {0};

    for (size_t i = 0; i < objects->count; i++)
        if (!has_object(list, objects->items[i]))
            dlk_lease_call(bus, objects->items[i], "Release", &ignored);
}

/* One header that makes no sense, which a guest may have written, leaves the other images' chains to be
 * taken. */
static bool
acquire_one_by_one(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkWish *wishes,
                   size_t count, const char *on_break, DlkStrings *objects, DlkFailure *failure)
{
    if (!dlk_leases_acquire(bus, vm, wishes, count, on_break, false, objects, failure))
        return false;
    for (size_t i = 0; count > 1 && i < count; i++) {
        DLK_AUTOFAILURE cause = {0};

        if (!is_new_image(vm, list, &wishes[i]) ||
            dlk_leases_acquire(bus, vm, &wishes[i], 1, on_break, true, objects, &cause) ||
            is_nonsense(&cause))
            continue;
        give_back(bus, list, objects);
        *failure = cause;
        cause = (DlkFailure){0};
        return false;
    }
    return true;
}

/* Of @objects the first are those of @wishes. What came along with them, and the VM did not have before, or
 * may lose again because of an earlier image, is looked after. */
static void
check_later(const DlkVm *vm, const DlkLeaseList *list, const DlkWish *wishes, size_t count,
            const DlkStrings *objects)
{
    DLK_AUTOFREE DlkWish *images = dlk_allocate(sizeof *images * count);
    DLK_AUTOSTRINGS along = {0};
    const DlkStrings own = {objects->items, count};
    size_t n_images = 0;

    for (size_t i = 0; i < count; i++)
        if (is_new_image(vm, list, &wishes[i]))
            images[n_images++] = wishes[i];
    for (size_t i = count; i < objects->count; i++) {
        const char *object = objects->items[i];

        if (!dlk_strings_has(&own, object) && !dlk_strings_has(&along, object) &&
            (!has_object(list, object) || dlk_check_has(vm, object)))
            dlk_strings_add(&along, object);
    }
    for (size_t i = 0; i < objects->count; i++)
        dlk_check_forget(vm, objects->items[i]);
    dlk_check_later(vm, images, n_images, &along);
}

bool
dlk_chain_acquire(DlkBus *bus, const DlkVm *vm, const DlkLeaseList *list, const DlkWish *wishes, size_t count,
                  const char *on_break, DlkFailure *failure)
{
    DLK_AUTOSTRINGS objects = {0};
    bool is_any = false;

    for (size_t i = 0; vm->pid > 0 && i < count; i++)
        is_any |= is_new_image(vm, list, &wishes[i]);
    if (!is_any)
        return dlk_leases_acquire(bus, vm, wishes, count, on_break, false, NULL, failure);
    bool done = dlk_leases_acquire(bus, vm, wishes, count, on_break, true, &objects, failure);
    if (!done && is_nonsense(failure)) {
        dlk_failure_clear(failure);
        done = acquire_one_by_one(bus, vm, list, wishes, count, on_break, &objects, failure);
    }
    if (done)
        check_later(vm, list, wishes, count, &objects);
    return done;
}
