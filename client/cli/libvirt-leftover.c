#include "libvirt-leftover.h"

#include "base/error.h"
#include "base/fd.h"
#include "failure.h"
#include "leases.h"
#include "release.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A start that was refused because the service does not answer must not wait as long a second time. */
#define SHORT_PATIENCE_MS 5000
/* A file for each domain: its name is the domain's UUID, its text the domain's name. */
#define NOTES_FOLDER DLK_LEFTOVER_RUN_FOLDER "/unreleased"

/* Others' leases under the same name are not touched. */
static gboolean
is_left_over(GVariant *lease, const char *uuid)
{
    return g_str_equal(dlk_lease_string(lease, "OwnerUuid"), uuid ?: "") &&
           g_str_equal(dlk_lease_string(lease, "Lifetime"), "persistent") &&
           dlk_lease_number(lease, "Uid") == geteuid();
}

/* A release that the service has heard of is done, or will be when the storage answers, whatever it says. */
static gboolean
is_answer(const GError *error)
{
    g_autofree char *name = g_dbus_error_is_remote_error(error) ? g_dbus_error_get_remote_error(error) : NULL;
    return name && g_str_has_prefix(name, DLK_BUS_NAME ".Error.");
}

static gboolean
release_all(DlkConnection *connection, GPtrArray *leases, const char *uuid, GError **error)
{
    for (guint i = 0; i < leases->len; i++) {
        const DlkLeaseEntry *lease = leases->pdata[i];
        g_autoptr(GError) reason = NULL;
        if (!is_left_over(lease->properties, uuid) || dlk_release_lease(connection, lease->object, &reason))
            continue;
        if (!is_answer(reason)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return FALSE;
        }
        dlk_failure_report(reason);
    }
    return TRUE;
}

static gboolean
give_back(DlkConnection *connection, const char *name, const char *uuid, GError **error)
{
    GVariant *filter = g_variant_new_parsed("{'owner': <%s>}", name);
    dlk_connection_set_patience(connection, SHORT_PATIENCE_MS);
    g_autoptr(GPtrArray) leases = dlk_leases_fetch(connection, filter, NULL, error);
    /* It answers; a release may have to ask the storage. */
    dlk_connection_set_patience(connection, 0);
    return leases && release_all(connection, leases, uuid, error);
}

/* ---- what is noted ---- */

/* Locked: a domain that starts again must not lose what another's hook is just giving back as left over. */
static int
open_notes(void)
{
    dlk_autofd folder = open(NOTES_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0)
        return -1;
    while (flock(folder, LOCK_EX) < 0)
        if (errno != EINTR)
            return -1;
    return g_steal_fd(&folder);
}

static void
note(const char *name, const char *uuid)
{
    g_autofree char *path = g_build_filename(NOTES_FOLDER, uuid, NULL);
    g_autoptr(GError) error = NULL;
    if (g_mkdir_with_parents(NOTES_FOLDER, 0700) == 0 && g_file_set_contents(path, name, -1, &error))
        return;
    dlk_warn("cannot note that the disks of %s are to be given back: %s", name,
             error ? error->message : g_strerror(errno));
}

gboolean
dlk_leftover_release(DlkConnection *connection, const char *name, const char *uuid, GError **error)
{
    if (give_back(connection, name, uuid, error))
        return TRUE;
    if (uuid && g_uuid_string_is_valid(uuid))
        note(name, uuid);
    return FALSE;
}

static gboolean
release_noted(DlkConnection *connection, int folder, const char *uuid, GError **error)
{
    g_autofree char *path = g_build_filename(NOTES_FOLDER, uuid, NULL);
    g_autofree char *name = NULL;
    if (!g_file_get_contents(path, &name, NULL, error) || !give_back(connection, name, uuid, error))
        return FALSE;
    unlinkat(folder, uuid, 0);
    return TRUE;
}

void
dlk_leftover_release_noted(DlkConnection *connection, const char *starting)
{
    dlk_autofd folder = open_notes();
    g_autoptr(GDir) notes = folder >= 0 ? g_dir_open(NOTES_FOLDER, 0, NULL) : NULL;
    g_autoptr(GError) error = NULL;
    const char *uuid;
    if (!notes)
        return;
    if (starting && g_uuid_string_is_valid(starting))
        unlinkat(folder, starting, 0);
    while (!error && (uuid = g_dir_read_name(notes)))
        if (!starting || !g_str_equal(uuid, starting))
            release_noted(connection, folder, uuid, &error);
    if (error)
        dlk_failure_report(error);
}
