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
#include <unistd.h>

/* A start that was refused because the service does not answer must not wait as long a second time. */
#define SHORT_PATIENCE 5 /* s */
#define PATIENCE 30
/* A file for each domain: its name is the domain's UUID, its text the domain's name. */
#define NOTES_FOLDER DLK_LEFTOVER_RUN_FOLDER "/unreleased"
#define LONGEST_NAME 4096

/* A release that the service has heard of is done, or will be when the storage answers, whatever it says. */
static bool
give_back(DlkBus *bus, const DlkVm *vm, DlkFailure *failure)
{
    DLK_AUTOLEASES list = {0};

    dlk_bus_set_patience(bus, SHORT_PATIENCE);
    if (!dlk_leases_list_all(bus, vm, &list, failure))
        return false;
    for (size_t i = 0; i < list.count; i++) {
        DLK_AUTOFAILURE reason = {0};

        if (strcmp(list.items[i].lifetime, "persistent") != 0)
            continue;
        /* It answers; a release may have to ask the storage. */
        dlk_bus_set_patience(bus, PATIENCE);
        if (dlk_lease_call(bus, list.items[i].object, "Release", &reason))
            continue;
        if (reason.silent) {
            failure->silent = true;
            return dlk_fail(failure, "%s", reason.text);
        }
        dlk_complain(&reason);
    }
    return true;
}

/* ---- what is noted ---- */

/* Locked: a domain that starts again must not lose what another's hook is just giving back as left over. */
static DIR *
open_notes(void)
{
    const int folder = open(NOTES_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (folder < 0)
        return NULL;
    while (flock(folder, LOCK_EX) < 0)
        if (errno != EINTR)
            return close(folder), NULL;
    DIR *notes = fdopendir(folder);
    if (!notes)
        close(folder);
    return notes;
}

static bool
make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* Whole or not at all: half a name would be another domain's. */
static bool
write_note(const char *path, const char *text)
{
    DLK_AUTOFREE char *draft = dlk_format("%s.draft", path);
    DLK_AUTOCLOSE int file = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    return file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text) && rename(draft, path) == 0;
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

bool
dlk_leftover_release(DlkBus *bus, const DlkVm *vm, DlkFailure *failure)
{
    const bool done = give_back(bus, vm, failure);

    if (!done)
        dlk_leftover_note(vm);
    return done;
}

static bool
read_note(int folder, const char *uuid, char name[LONGEST_NAME])
{
    DLK_AUTOCLOSE int file = openat(folder, uuid, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, name, LONGEST_NAME - 1);

    if (length < 0)
        return false;
    name[length] = '\0';
    return true;
}

static bool
release_noted(DlkBus *bus, int folder, const char *uuid, DlkFailure *failure)
{
    char name[LONGEST_NAME];
    const DlkVm vm = {.name = name, .uuid = uuid};

    if (!read_note(folder, uuid, name))
        return dlk_fail(failure, "%s/%s: %s", NOTES_FOLDER, uuid, strerror(errno));
    if (!give_back(bus, &vm, failure))
        return false;
    unlinkat(folder, uuid, 0);
    return true;
}

void
dlk_leftover_release_noted(DlkBus *bus, const char *starting)
{
    DIR *notes = open_notes();
    DLK_AUTOFAILURE failure = {0};
    const struct dirent *entry;

    if (!notes)
        return;
    const int folder = dirfd(notes);
    if (folder >= 0 && dlk_is_uuid(starting))
        unlinkat(folder, starting, 0);
    while (folder >= 0 && (entry = readdir(notes)))
        if (dlk_is_uuid(entry->d_name) && strcmp(entry->d_name, starting) != 0 &&
            !release_noted(bus, folder, entry->d_name, &failure)) {
            dlk_complain(&failure);
            break;
        }
    closedir(notes);
}
