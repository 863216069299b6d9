#include "leftover.h"

#include "complaint.h"
#include "domain-text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A start that was refused because the service does not answer must not wait as long a second time. */
#define RELEASE_PATIENCE 5 /* s */
/* For what other domains have left over, however many: the start that waits for it is none of theirs. */
#define NOTED_PATIENCE 10 /* s */
/* What another process does in a moment is looked at so often. */
#define INTERVAL_NS 20000000
#define LOOKS 50
/*
 * A file for each domain: its name is the domain's UUID, its text the domain's name. Who has it locked may
 * give back what the domain has left over, or take the note away.
 */
#define NOTES_FOLDER DLK_LEFTOVER_RUN_FOLDER "/unreleased"
#define LONGEST_NAME 4096

static bool
is_left_over(const DlkLeaseInfo *lease)
{
    return strcmp(lease->lifetime, "persistent") == 0;
}

static void
rest(void)
{
    const struct timespec interval = {.tv_nsec = INTERVAL_NS};

    nanosleep(&interval, NULL);
}

/* A broken one may stay until its action is over. */
static bool
is_none_left(DlkBus *bus, const DlkVm *vm, DlkFailure *failure)
{
    DLK_AUTOLEASES list = {0};

    if (!dlk_leases_list(bus, vm, &list, failure))
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (is_left_over(&list.items[i]))
            return false;
    return true;
}

/*
 * A lease that is given back leaves the bus as soon as the service hears of it, and its lock goes when the
 * storage answers, which may be never: so that is what is waited for, and not the answer.
 */
static bool
give_back(DlkBus *bus, const DlkVm *vm, DlkFailure *failure)
{
    DLK_AUTOLEASES list = {0};
    bool is_any = false;

    if (!dlk_leases_list_all(bus, vm, &list, failure))
        return false;
    for (size_t i = 0; i < list.count; i++) {
        if (!is_left_over(&list.items[i]))
            continue;
        is_any = true;
        if (!dlk_lease_send(bus, list.items[i].object, "Release", failure))
            return false;
    }
    for (int i = 0; is_any && i < LOOKS; i++) {
        if (is_none_left(bus, vm, failure))
            return true;
        if (failure->text)
            return false;
        rest();
    }
    return !is_any ||
           dlk_fail(failure,
                    "the disks that an earlier start of %s had taken are not given back yet: see disklockctl "
                    "list --owner=%s; if no such VM runs: disklockctl release --owner=%s",
                    vm->name, vm->name, vm->name);
}

/* ---- what is noted ---- */

static int
open_notes(void)
{
    return open(NOTES_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* One that was taken away, or written anew, since it was opened is none to lock. */
static bool
lock(int file, int folder, const char *uuid)
{
    struct stat locked, noted;

    if (flock(file, LOCK_EX | LOCK_NB) < 0 || fstat(file, &locked) < 0 ||
        fstatat(folder, uuid, &noted, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    errno = EWOULDBLOCK;
    return locked.st_ino == noted.st_ino;
}

/* The note, locked; -1 with EWOULDBLOCK: another hook is at it, ENOENT: there is none. */
static int
lock_note(int folder, const char *uuid)
{
    const int file = openat(folder, uuid, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (file < 0 || lock(file, folder, uuid))
        return file;
    const int reason = errno;
    close(file);
    return errno = reason, -1;
}

static bool
read_note(int note, char name[LONGEST_NAME])
{
    const ssize_t length = read(note, name, LONGEST_NAME - 1);

    name[length > 0 ? length : 0] = '\0';
    return length >= 0;
}

static bool
is_note_of(const char *path, const char *text)
{
    DLK_AUTOCLOSE int note = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char name[LONGEST_NAME];

    if (note >= 0 && read_note(note, name) && strcmp(name, text) == 0)
        return true;
    return errno = EEXIST, false;
}

static bool
make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* Whole or not at all: half a name would be another domain's. One that is there already stays: another hook
 * may have it locked, and by an old name there may be something to be given back. */
static bool
write_note(const char *path, const char *text)
{
    DLK_AUTOFREE char *draft = dlk_format("%s.draft", path);

    unlink(draft);
    DLK_AUTOCLOSE int file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text))
        return false;
    const bool done = link(draft, path) == 0 || (errno == EEXIST && is_note_of(path, text));
    const int reason = errno;
    unlink(draft);
    errno = reason;
    return done;
}

void
dlk_leftover_note(const DlkVm *vm)
{
    DLK_AUTOFREE char *path = dlk_format(NOTES_FOLDER "/%s", vm->uuid);
    DLK_AUTOFAILURE failure = {0};

    if (!dlk_is_uuid(vm->uuid) ||
        (make_folder(DLK_LEFTOVER_RUN_FOLDER) && make_folder(NOTES_FOLDER) && write_note(path, vm->name)))
        return;
    dlk_fail(&failure, "cannot note that the disks of %s are to be given back: %s", vm->name,
             strerror(errno));
    dlk_complain(&failure);
}

/* A domain that was renamed since is noted by its old name. */
static bool
fail_to_read(const char *uuid, DlkFailure *failure)
{
    return dlk_fail(failure, "cannot read the note %s/%s of what a domain has left over: %s", NOTES_FOLDER,
                    uuid, strerror(errno));
}

static bool
give_back_noted(DlkBus *bus, int note, const char *uuid, const char *but, DlkFailure *failure)
{
    char name[LONGEST_NAME];
    const DlkVm vm = {.name = name, .uuid = uuid};

    if (!read_note(note, name))
        return fail_to_read(uuid, failure);
    return strcmp(name, but) == 0 || give_back(bus, &vm, failure);
}

/* A hook that has the note locked is giving back what is no more, and takes the note away itself. */
bool
dlk_leftover_release(DlkBus *bus, const DlkVm *vm, DlkFailure *failure)
{
    const bool is_noted = dlk_is_uuid(vm->uuid);
    DLK_AUTOCLOSE int folder = open_notes();
    DLK_AUTOCLOSE int note = folder >= 0 && is_noted ? lock_note(folder, vm->uuid) : -1;

    if (folder >= 0 && is_noted && note < 0 && errno == EWOULDBLOCK)
        return true;
    dlk_bus_set_patience(bus, RELEASE_PATIENCE);
    if (!give_back(bus, vm, failure) ||
        (note >= 0 && !give_back_noted(bus, note, vm->uuid, vm->name, failure)))
        return false;
    if (note >= 0)
        unlinkat(folder, vm->uuid, 0);
    return true;
}

/* It must not lose to another's hook, as left over, what it is about to take on. By an old name it cannot. */
static bool
keep(DlkBus *bus, int folder, const DlkVm *starting, DlkFailure *failure)
{
    for (;;) {
        DLK_AUTOCLOSE int note = lock_note(folder, starting->uuid);

        if (note >= 0 && !give_back_noted(bus, note, starting->uuid, starting->name, failure))
            return false;
        if (note >= 0 && unlinkat(folder, starting->uuid, 0) == 0)
            return true;
        if (errno == ENOENT)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail_to_read(starting->uuid, failure);
        if (dlk_bus_time_left(bus) == 0)
            return dlk_fail(failure,
                            "what an earlier start of %s had taken is still being given back by another "
                            "domain's hook: start it again; if that fails too: disklockctl list --owner=%s",
                            starting->name, starting->name);
        rest();
    }
}

static bool
release_noted(DlkBus *bus, int folder, const char *uuid, DlkFailure *failure)
{
    DLK_AUTOCLOSE int note = lock_note(folder, uuid);

    if (note < 0 && (errno == EWOULDBLOCK || errno == ENOENT))
        return true;
    if (note < 0)
        return fail_to_read(uuid, failure);
    if (!give_back_noted(bus, note, uuid, "", failure))
        return false;
    unlinkat(folder, uuid, 0);
    return true;
}

static void
release_all_noted(DlkBus *bus, int folder, DIR *notes)
{
    const struct dirent *entry;
    bool is_silent = false;

    while (!is_silent && dlk_bus_time_left(bus) > 0 && (entry = readdir(notes))) {
        DLK_AUTOFAILURE failure = {0};

        if (!dlk_is_uuid(entry->d_name) || release_noted(bus, folder, entry->d_name, &failure))
            continue;
        dlk_complain(&failure);
        is_silent = failure.silent;
    }
}

bool
dlk_leftover_release_noted(DlkBus *bus, const DlkVm *starting, DlkFailure *failure)
{
    const int folder = open_notes();

    if (folder < 0)
        return true;
    DIR *notes = fdopendir(folder);
    if (!notes)
        return close(folder), dlk_fail(failure, "%s: %s", NOTES_FOLDER, strerror(errno));
    dlk_bus_set_patience(bus, NOTED_PATIENCE);
    const bool is_kept = !starting || !dlk_is_uuid(starting->uuid) || keep(bus, folder, starting, failure);
    if (is_kept)
        release_all_noted(bus, folder, notes);
    closedir(notes);
    return is_kept;
}
