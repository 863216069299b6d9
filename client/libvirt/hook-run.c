#include "hook-run.h"

#include "complaint.h"
#include "domain-text.h"
#include "leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * What libvirt tells a hook: https://libvirt.org/hooks.html. What a hook writes to stdout would, for some
 * operations, become the domain's XML: nothing is written there. What it writes to stderr, the user reads
 * where the operation may fail.
 */

#define QEMU_PID_FOLDER "/run/libvirt/qemu"
/* So long it is remembered from `migrate` to `prepare` that a domain comes from another host: both belong to
 * one start. */
#define INCOMING_SECONDS 60
/* The leases of a QEMU that has just ended may take a moment to end. */
#define WAIT_MS 1000
#define PATIENCE 31 /* s: that, and disklockd's own patience with storage */
/* What disklockd takes. */
#define LONGEST_XML (4 * 1024 * 1024)

typedef struct {
    DlkVm vm;
    const char *xml;
    DlkBus *bus;
} Hook;

/* ---- the domain's disks ---- */

static int
append_options(sd_bus_message *call, const DlkVm *vm)
{
    int result = sd_bus_message_open_container(call, 'a', "{sv}");

    if (result >= 0)
        result =
            sd_bus_message_append(call, "{sv}{sv}{sv}{sv}", "owner", "s", vm->name, "adopt", "b", 1, "wait",
                                  "u", WAIT_MS, "lifetime", "s", vm->pid > 0 ? "process" : "persistent");
    if (result >= 0 && *vm->uuid)
        result = sd_bus_message_append(call, "{sv}", "owner-uuid", "s", vm->uuid);
    if (result >= 0 && vm->pid > 0)
        result = sd_bus_message_append(call, "{sv}", "pid", "u", (uint32_t)vm->pid);
    return result < 0 ? result : sd_bus_message_close_container(call);
}

static bool
acquire(const Hook *hook, const DlkVm *vm, DlkFailure *failure)
{
    dlk_bus_set_patience(hook->bus, PATIENCE);
    sd_bus_message *call = dlk_bus_new_call(hook->bus, NULL, "AcquireDomain", failure);
    if (!call)
        return false;
    int result = sd_bus_message_append(call, "s", hook->xml);
    if (result >= 0)
        result = append_options(call, vm);
    if (result < 0) {
        sd_bus_message_unref(call);
        return dlk_fail(failure, "cannot ask disklockd for the disks of %s: %s", vm->name,
                        result == -EINVAL ? "its XML is not UTF-8, which is all that D-Bus can carry"
                                          : strerror(-result));
    }
    sd_bus_message *reply = dlk_bus_call(hook->bus, call, failure);
    return sd_bus_message_unref(reply), reply != NULL;
}

/* ---- where it comes from ---- */

/* The path of what says that the domain comes from another host; NULL for one without a UUID. */
static char *
incoming_path(const Hook *hook)
{
    return *hook->vm.uuid ? dlk_format("%s/%s", DLK_LEFTOVER_RUN_FOLDER, hook->vm.uuid) : NULL;
}

/* The other host holds the disks until the domain runs here: then the lock driver takes them. */
static bool
note_incoming(const Hook *hook, DlkFailure *failure)
{
    DLK_AUTOFREE char *path = incoming_path(hook);

    if (!path)
        return true;
    if (mkdir(DLK_LEFTOVER_RUN_FOLDER, 0700) < 0 && errno != EEXIST)
        return dlk_fail(failure, "cannot make %s: %s", DLK_LEFTOVER_RUN_FOLDER, strerror(errno));
    unlink(path);
    DLK_AUTOCLOSE int file = open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return file >= 0 || dlk_fail(failure, "cannot make %s: %s", path, strerror(errno));
}

static bool
take_incoming(const Hook *hook)
{
    DLK_AUTOFREE char *path = incoming_path(hook);
    struct stat status;

    if (!path || lstat(path, &status) < 0)
        return false;
    const bool is_fresh = time(NULL) - status.st_mtime < INCOMING_SECONDS;
    unlink(path);
    return is_fresh;
}

/* ---- the operations ---- */

static bool
prepare(const Hook *hook, DlkFailure *failure)
{
    return dlk_leftover_release_noted(hook->bus, &hook->vm, failure) &&
           (take_incoming(hook) || acquire(hook, &hook->vm, failure));
}

/* The QEMU of the domain; 0: it is not known. */
static pid_t
read_pid(const char *name)
{
    DLK_AUTOFREE char *path = dlk_format("%s/%s.pid", QEMU_PID_FOLDER, name);
    FILE *file = strchr(name, '/') ? NULL : fopen(path, "re");
    int pid = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%d", &pid) != 1 || pid < 0)
        pid = 0;
    fclose(file);
    return pid;
}

/* A domain that ran before disklock was asked is locked from now on, if that can be. */
static bool
reconnect(const Hook *hook, DlkFailure *failure)
{
    const DlkVm vm = {hook->vm.name, hook->vm.uuid, read_pid(hook->vm.name)};

    return vm.pid == 0 || acquire(hook, &vm, failure);
}

static bool
release(const Hook *hook, DlkFailure *failure)
{
    return dlk_leftover_release(hook->bus, &hook->vm, failure) &&
           dlk_leftover_release_noted(hook->bus, NULL, failure);
}

static const struct {
    const char *name;
    bool (*run)(const Hook *hook, DlkFailure *failure);
    bool asks; /* disklockd */
} operations[] = {
    {"prepare", prepare, true},
    {"release", release, true},
    {"reconnect", reconnect, true},
    {"migrate", note_incoming, false},
};

static bool
run(size_t which, const Hook *hook, DlkFailure *failure)
{
    if (operations[which].run == release)
        dlk_leftover_note(&hook->vm);
    return (!operations[which].asks || dlk_bus_open(hook->bus, PATIENCE, failure)) &&
           operations[which].run(hook, failure);
}

/* One byte beyond the bound tells that there is too much. NULL with @failure. */
static char *
read_xml(DlkFailure *failure)
{
    char *xml = dlk_allocate(LONGEST_XML + 2);
    size_t length = 0;
    ssize_t count = 1;

    while (count != 0 && length <= LONGEST_XML) {
        count = read(STDIN_FILENO, xml + length, LONGEST_XML + 1 - length);
        if (count < 0 && errno != EINTR)
            break;
        length += count > 0 ? (size_t)count : 0;
    }
    if (count == 0 && strlen(xml) == length)
        return xml;
    dlk_fail(failure, "standard input: %s",
             count < 0              ? strerror(errno)
             : length > LONGEST_XML ? "has more than 4 MiB: that is no domain XML"
                                    : "has a NUL byte: that is no domain XML");
    return free(xml), NULL;
}

int
dlk_hook_run(const char *operation, const char *name)
{
    DLK_AUTOFAILURE failure = {0};
    DLK_AUTOFREE char *xml = read_xml(&failure);
    char uuid[DLK_UUID_LENGTH + 1] = "";
    DLK_AUTOBUS bus = {0};
    const Hook hook = {{name, uuid, 0}, xml, &bus};

    if (xml && !dlk_domain_text_uuid(xml, uuid))
        dlk_fail(&failure, "standard input: is no domain XML");
    if (failure.text)
        return dlk_complain(&failure), DLK_EXIT_USAGE;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(operation, operations[i].name) == 0)
            return run(i, &hook, &failure) ? DLK_EXIT_SUCCESS : (int)dlk_complain(&failure);
    dlk_fail(&failure,
             "disklock.so does not know the operation %s: it is of another version than the hook: "
             "install both from one build",
             operation);
    return dlk_complain(&failure), DLK_EXIT_FAILURE;
}
