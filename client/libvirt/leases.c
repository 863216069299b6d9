#include "leases.h"

#include "inspect.h"
#include "text.h"

#include <errno.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

static bool
fail_message(int result, DlkFailure *failure)
{
    return dlk_fail(failure, "what disklockd answers cannot be read: %s", strerror(-result));
}

/* ---- the list ---- */

static void
clear_info(DlkLeaseInfo *info)
{
    free(info->object);
    free(info->path);
    free(info->disk);
    free(info->mode);
    free(info->state);
    free(info->lifetime);
}

void
dlk_leases_clear(DlkLeaseList *list)
{
    for (size_t i = 0; i < list->count; i++)
        clear_info(&list->items[i]);
    free(list->items);
    *list = (DlkLeaseList){0};
}

static char **
field_of(DlkLeaseInfo *info, const char *key)
{
    if (strcmp(key, "Path") == 0)
        return &info->path;
    if (strcmp(key, "Disk") == 0)
        return &info->disk;
    if (strcmp(key, "Mode") == 0)
        return &info->mode;
    if (strcmp(key, "State") == 0)
        return &info->state;
    return strcmp(key, "Lifetime") == 0 ? &info->lifetime : NULL;
}

static int
read_property(sd_bus_message *reply, DlkLeaseInfo *info, char **uuid)
{
    const char *key = NULL;
    uint32_t pid = 0;
    int is_data_file = 0;
    int result = sd_bus_message_read(reply, "s", &key);

    if (result < 0)
        return result;
    if (strcmp(key, "Pid") == 0) {
        result = sd_bus_message_read(reply, "v", "u", &pid);
        info->pid = (pid_t)pid;
        return result;
    }
    if (strcmp(key, "IsDataFile") == 0) {
        result = sd_bus_message_read(reply, "v", "b", &is_data_file);
        info->is_data_file = is_data_file;
        return result;
    }
    char **field = strcmp(key, "OwnerUuid") == 0 ? uuid : field_of(info, key);
    return field ? dlk_bus_read_string(reply, field) : sd_bus_message_skip(reply, "v");
}

static int
read_properties(sd_bus_message *reply, DlkLeaseInfo *info, char **uuid)
{
    int result = sd_bus_message_enter_container(reply, 'a', "{sv}");

    while (result >= 0 && (result = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        result = read_property(reply, info, uuid);
        if (result >= 0)
            result = sd_bus_message_exit_container(reply);
    }
    return result < 0 ? result : sd_bus_message_exit_container(reply);
}

static bool
is_complete(const DlkLeaseInfo *info)
{
    return info->path && info->disk && info->mode && info->state && info->lifetime;
}

/* 0: there are no more. */
static int
read_lease(sd_bus_message *reply, const DlkVm *vm, DlkLeaseList *list)
{
    DLK_AUTOFREE char *uuid = NULL;
    DlkLeaseInfo info = {0};
    const char *object = NULL;
    int result = sd_bus_message_enter_container(reply, 'r', "oa{sv}");

    if (result <= 0)
        return result;
    result = sd_bus_message_read(reply, "o", &object);
    if (result >= 0)
        result = read_properties(reply, &info, &uuid);
    if (result >= 0)
        result = sd_bus_message_exit_container(reply);
    if (result >= 0 && !is_complete(&info))
        result = -EBADMSG;
    if (result < 0 || strcasecmp(uuid ? uuid : "", vm->uuid) != 0) {
        clear_info(&info);
        return result < 0 ? result : 1;
    }
    info.object = dlk_copy(object);
    list->items = dlk_grow(list->items, list->count, sizeof *list->items);
    list->items[list->count++] = info;
    return 1;
}

static int
read_page(sd_bus_message *reply, const DlkVm *vm, DlkLeaseList *list, char **next)
{
    const char *after = NULL;
    int result = sd_bus_message_enter_container(reply, 'a', "(oa{sv})");

    while (result >= 0 && (result = read_lease(reply, vm, list)) > 0)
        ;
    if (result >= 0)
        result = sd_bus_message_exit_container(reply);
    if (result >= 0)
        result = sd_bus_message_read(reply, "s", &after);
    if (result < 0)
        return result;
    free(*next);
    *next = dlk_copy(after);
    return 0;
}

bool
dlk_leases_list_all(DlkBus *bus, const DlkVm *vm, DlkLeaseList *list, DlkFailure *failure)
{
    DLK_AUTOFREE char *next = dlk_copy("");

    *list = (DlkLeaseList){0};
    do {
        sd_bus_message *call = dlk_bus_new_call(bus, NULL, "ListLeases", failure);
        if (!call)
            return false;
        /* Anybody may call himself as the VM is called: libvirtd's own leases alone are the VM's. */
        int result = sd_bus_message_append(call, "a{sv}", 3, "owner", "s", vm->name, "uid", "u",
                                           (uint32_t)geteuid(), "after", "s", next);
        sd_bus_message *reply =
            result < 0 ? (sd_bus_message_unref(call), NULL) : dlk_bus_call(bus, call, failure);
        if (!reply)
            return dlk_fail(failure, "cannot ask disklockd for the leases of %s", vm->name);
        result = read_page(reply, vm, list, &next);
        sd_bus_message_unref(reply);
        if (result < 0)
            return fail_message(result, failure);
    } while (*next);
    return true;
}

bool
dlk_leases_list(DlkBus *bus, const DlkVm *vm, DlkLeaseList *list, DlkFailure *failure)
{
    size_t count = 0;

    if (!dlk_leases_list_all(bus, vm, list, failure))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].state, "broken") == 0)
            clear_info(&list->items[i]);
        else
            list->items[count++] = list->items[i];
    list->count = count;
    return true;
}

const DlkLeaseInfo *
dlk_leases_find_named(const DlkLeaseList *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].path, path) == 0)
            return &list->items[i];
    return NULL;
}

const DlkLeaseInfo *
dlk_leases_find(DlkBus *bus, const DlkLeaseList *list, const char *path)
{
    const DlkLeaseInfo *named = dlk_leases_find_named(list, path);

    if (named || list->count == 0)
        return named;
    DLK_AUTOREPORT report = {0};
    if (!dlk_report_ask(bus, path, &report))
        return NULL;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].disk, report.disk) == 0)
            return &list->items[i];
    return NULL;
}

/* ---- what is done with one of them ---- */

bool
dlk_lease_is_read_only(const DlkLeaseInfo *lease)
{
    return strcmp(lease->mode, DLK_READ_ONLY) == 0;
}

/* A path may lead to another disk by now, and this one still be open. */
static bool
is_where_it_was(DlkBus *bus, const DlkLeaseInfo *lease)
{
    DLK_AUTOREPORT report = {0};

    return strncmp(lease->disk, "file:", strlen("file:")) == 0 ||
           (dlk_report_ask(bus, lease->path, &report) && strcmp(report.disk, lease->disk) == 0);
}

DlkOpen
dlk_lease_is_open(DlkBus *bus, const DlkVm *vm, const DlkLeaseInfo *lease)
{
    const DlkOpen open = dlk_process_has_open(vm->pid, lease->disk, lease->path);

    return open != DLK_OPEN_NO || is_where_it_was(bus, lease) ? open : DLK_OPEN_UNKNOWN;
}

bool
dlk_lease_call(DlkBus *bus, const char *object, const char *member, DlkFailure *failure)
{
    sd_bus_message *call = dlk_bus_new_call(bus, object, member, failure);
    sd_bus_message *reply = call ? dlk_bus_call(bus, call, failure) : NULL;

    return sd_bus_message_unref(reply), reply != NULL;
}

bool
dlk_lease_send(DlkBus *bus, const char *object, const char *member, DlkFailure *failure)
{
    sd_bus_message *call = dlk_bus_new_call(bus, object, member, failure);

    if (!call)
        return false;
    const int result = sd_bus_send(bus->bus, call, NULL);
    sd_bus_message_unref(call);
    failure->silent |= result < 0;
    return result >= 0 || dlk_fail(failure, "cannot ask disklockd: %s", strerror(-result));
}

bool
dlk_lease_convert(DlkBus *bus, const char *object, const char *mode, DlkFailure *failure)
{
    sd_bus_message *call = dlk_bus_new_call(bus, object, "Convert", failure);

    if (!call)
        return false;
    int result = sd_bus_message_append(call, "s", mode);
    if (result < 0)
        return sd_bus_message_unref(call), fail_message(result, failure);
    sd_bus_message *reply = dlk_bus_call(bus, call, failure);
    return sd_bus_message_unref(reply), reply != NULL;
}

/* ---- taking them ---- */

static int
append_options(sd_bus_message *call, const DlkVm *vm, int pidfd, const char *on_break, bool backing_files)
{
    int result = sd_bus_message_open_container(call, 'a', "{sv}");

    if (result >= 0)
        result = sd_bus_message_append(call, "{sv}{sv}{sv}", "owner", "s", vm->name, "owner-uuid", "s",
                                       vm->uuid, "adopt", "b", 1);
    if (result >= 0 && pidfd >= 0)
        result = sd_bus_message_append(call, "{sv}{sv}", "lifetime", "s", "process", "pidfd", "h", pidfd);
    if (result >= 0 && on_break)
        result = sd_bus_message_append(call, "{sv}", "on-break", "s", on_break);
    if (result >= 0 && backing_files)
        result = sd_bus_message_append(call, "{sv}", "backing-files", "b", 1);
    return result < 0 ? result : sd_bus_message_close_container(call);
}

static int
append_wishes(sd_bus_message *call, const DlkWish *wishes, size_t count)
{
    int result = sd_bus_message_open_container(call, 'a', "(ss)");

    for (size_t i = 0; i < count && result >= 0; i++)
        result = sd_bus_message_append(call, "(ss)", wishes[i].path, wishes[i].mode);
    return result < 0 ? result : sd_bus_message_close_container(call);
}

static int
read_objects(sd_bus_message *reply, DlkStrings *objects)
{
    const char *object = NULL;
    uint64_t token = 0;
    int result = sd_bus_message_enter_container(reply, 'a', "(ot)");

    while (result >= 0 && (result = sd_bus_message_read(reply, "(ot)", &object, &token)) > 0)
        dlk_strings_add(objects, object);
    return result < 0 ? result : sd_bus_message_exit_container(reply);
}

bool
dlk_leases_acquire(DlkBus *bus, const DlkVm *vm, const DlkWish *wishes, size_t count, const char *on_break,
                   bool along, DlkStrings *objects, DlkFailure *failure)
{
    DLK_AUTOCLOSE int pidfd = vm->pid > 0 ? pidfd_open(vm->pid, 0) : -1;

    if (count == 0)
        return true;
    if (vm->pid > 0 && pidfd < 0)
        return dlk_fail(failure, "the process of %s (pid %d) has ended", vm->name, (int)vm->pid);
    sd_bus_message *call = dlk_bus_new_call(bus, NULL, "AcquireSet", failure);
    if (!call)
        return false;
    int result = append_wishes(call, wishes, count);
    if (result >= 0)
        result = append_options(call, vm, pidfd, on_break, along);
    if (result < 0) {
        sd_bus_message_unref(call);
        return dlk_fail(failure, "cannot ask disklockd for the disks of %s: %s", vm->name, strerror(-result));
    }
    sd_bus_message *reply = dlk_bus_call(bus, call, failure);
    if (!reply)
        return false;
    result = objects ? read_objects(reply, objects) : 0;
    sd_bus_message_unref(reply);
    return result >= 0 || fail_message(result, failure);
}
