#include "base/error.h"
#include "command.h"
#include "connection.h"
#include "domain-file.h"
#include "failure.h"
#include "libvirt-leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What libvirt tells a hook: https://libvirt.org/hooks.html. What a hook writes to stdout would, for some
 * operations, become the domain's XML: nothing is written there. What it writes to stderr, the user reads
 * where the operation may fail, which is `prepare` alone among ours.
 */

#define QEMU_PID_FOLDER "/run/libvirt/qemu"
/* Remembers from `migrate` to `prepare` that a domain comes from another host; both belong to one start. */
#define INCOMING_FOLDER DLK_LEFTOVER_RUN_FOLDER
#define INCOMING_SECONDS 60
/* The leases of a QEMU that has just ended may take a moment to end. */
#define WAIT_MS 1000

typedef struct {
    const DlkDomainFile *domain;
    DlkConnection *connection;
} Hook;

static gboolean
acquire(const Hook *hook, pid_t pid, GError **error)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&options, "owner", "s", hook->domain->name);
    if (hook->domain->uuid)
        g_variant_dict_insert(&options, "owner-uuid", "s", hook->domain->uuid);
    g_variant_dict_insert(&options, "adopt", "b", TRUE);
    g_variant_dict_insert(&options, "wait", "u", WAIT_MS);
    g_variant_dict_insert(&options, "lifetime", "s", pid > 0 ? "process" : "persistent");
    if (pid > 0)
        g_variant_dict_insert(&options, "pid", "u", (guint32)pid);
    const DlkCall call = {
        .method = "AcquireDomain",
        .arguments = g_variant_new("(s@a{sv})", hook->domain->xml, g_variant_dict_end(&options)),
        .reply_type = G_VARIANT_TYPE("(a(ot))"),
        .wait_ms = WAIT_MS,
    };
    g_autoptr(GVariant) reply = dlk_connection_call(hook->connection, &call, error);
    return reply != NULL;
}

/* The path of what says that the domain comes from another host; %NULL for one without a UUID. */
static char *
incoming_path(const Hook *hook)
{
    const char *uuid = hook->domain->uuid;
    return uuid && g_uuid_string_is_valid(uuid) ? g_build_filename(INCOMING_FOLDER, uuid, NULL) : NULL;
}

/* The other host holds the disks until the domain runs here: then the lock driver takes them. */
static gboolean
note_incoming(const Hook *hook, GError **error)
{
    g_autofree char *path = incoming_path(hook);
    if (!path)
        return TRUE;
    if (mkdir(INCOMING_FOLDER, 0700) < 0 && errno != EEXIST)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "Cannot make %s", INCOMING_FOLDER);
    unlink(path);
    const int fd = open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "Cannot make %s", path);
    close(fd);
    return TRUE;
}

static gboolean
take_incoming(const Hook *hook)
{
    g_autofree char *path = incoming_path(hook);
    struct stat status;
    if (!path || lstat(path, &status) < 0)
        return FALSE;
    const gboolean is_fresh = time(NULL) - status.st_mtime < INCOMING_SECONDS;
    unlink(path);
    return is_fresh;
}

static gboolean
prepare(const Hook *hook, GError **error)
{
    dlk_leftover_release_noted(hook->connection, hook->domain->uuid);
    return take_incoming(hook) || acquire(hook, 0, error);
}

/* The QEMU of the domain; 0: it is not known. */
static pid_t
read_pid(const Hook *hook)
{
    g_autofree char *file = g_strconcat(hook->domain->name, ".pid", NULL);
    g_autofree char *path = g_build_filename(QEMU_PID_FOLDER, file, NULL);
    g_autofree char *text = NULL;
    if (strchr(hook->domain->name, '/') || !g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    const guint64 pid = g_ascii_strtoull(text, NULL, 10);
    return pid <= G_MAXINT ? (pid_t)pid : 0;
}

/* A domain that ran before disklock was asked is locked from now on, if that can be. */
static gboolean
reconnect(const Hook *hook, GError **error)
{
    const pid_t pid = read_pid(hook);
    return pid == 0 || acquire(hook, pid, error);
}

static gboolean
release(const Hook *hook, GError **error)
{
    const gboolean done =
        dlk_leftover_release(hook->connection, hook->domain->name, hook->domain->uuid, error);
    if (done)
        dlk_leftover_release_noted(hook->connection, NULL);
    return done;
}

/* The operations that concern us; every other is none of ours. */
static const struct {
    const char *name;
    gboolean may_fail; /* does libvirt refuse to go on where the hook fails, and rightly so? */
    gboolean (*run)(const Hook *hook, GError **error);
} operations[] = {
    {"prepare", TRUE, prepare},
    {"release", FALSE, release},
    {"reconnect", FALSE, reconnect},
    {"migrate", TRUE, note_incoming},
};

static int
run_operation(gsize which, const DlkSettings *settings)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkDomainFile) domain = dlk_domain_file_read("-", &error);
    g_autoptr(DlkConnection) connection = domain ? dlk_connection_open(settings, &error) : NULL;
    const Hook hook = {domain, connection};
    if (connection && operations[which].run(&hook, &error))
        return DLK_EXIT_SUCCESS;
    const int code = dlk_failure_report(error);
    return operations[which].may_fail ? code : DLK_EXIT_SUCCESS;
}

static int
run(const DlkInvocation *invocation)
{
    for (gsize i = 0; i < G_N_ELEMENTS(operations); i++)
        if (g_str_equal(invocation->arguments[1], operations[i].name))
            return run_operation(i, invocation->settings);
    return DLK_EXIT_SUCCESS;
}

const DlkCommand dlk_command_libvirt_hook = {
    .name = "libvirt hook",
    .parameters = "-- DOMAIN OPERATION …",
    .summary = "What libvirt runs: takes and gives back a domain's disks",
    .details = "Its arguments and standard input are those of libvirt's hooks. prepare takes every disk of "
               "the domain, or "
               "fails, and\nwith it the start; release gives back what no QEMU has taken on; reconnect takes "
               "the disks of a "
               "domain that runs;\nmigrate says that the next prepare is of a domain that another host still "
               "runs. Whatever "
               "else libvirt tells it is\nno concern of disklock's.",
    .min_arguments = 2,
    .max_arguments = G_MAXUINT,
    .run = run,
};
