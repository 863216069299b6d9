#include "core/holding.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/*
 * What is done to the process of a lease that breaks, through its pidfd, so that no other process can be met.
 * While the process may still write, the disk stays closed to others on this host.
 */

/* TRUE: it was sent, or there is nobody left to send it to. */
static gboolean
send_signal(DlkLease *lease, int signal_number)
{
    if (!lease->process || dlk_pid_ref_signal(lease->process, signal_number) || errno == ESRCH)
        return TRUE;

    dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, NULL,
                      "Cannot send signal %d to process %d, which may go on writing to %s: %s", signal_number,
                      (int)lease->pid, lease->path, g_strerror(errno));
    return FALSE;
}

static void
on_grace_over(gpointer user_data)
{
    DlkLease *lease = user_data;

    dlk_holding(lease)->grace_timer = NULL;
    send_signal(lease, SIGKILL);
}

static void
terminate(DlkEngine *engine, DlkLease *lease)
{
    send_signal(lease, SIGTERM);
    /* A stopped process gets it only when it goes on. */
    send_signal(lease, SIGCONT);
    dlk_holding(lease)->grace_timer =
        dlk_timers_add(engine->timers, g_get_monotonic_time() + lease->rule->grace, on_grace_over, lease);
}

static char **
program_environment(const DlkLease *lease)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    const struct {
        const char *name;
        char *value;
    } variables[] = {
        {"DISKLOCK_DISK", g_strdup(lease->disk->id)},
        {"DISKLOCK_PATH", g_strdup(lease->path)},
        {"DISKLOCK_MODE", g_strdup(dlk_mode_to_string(lease->mode))},
        {"DISKLOCK_OWNER", g_strdup(lease->owner)},
        {"DISKLOCK_OWNER_UUID", g_strdup(lease->owner_uuid ? lease->owner_uuid : "")},
        {"DISKLOCK_UID", g_strdup_printf("%u", lease->uid)},
        {"DISKLOCK_PID", g_strdup_printf("%d", lease->process ? (int)lease->pid : 0)},
        {"DISKLOCK_TOKEN", g_strdup_printf("%" G_GUINT64_FORMAT, lease->token)},
        {"DISKLOCK_REASON", g_strdup(lease->broken_reason)},
    };

    dlk_lease_id_format(&lease->id, id);
    g_strv_builder_add(builder, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    g_autofree char *lease_variable = g_strdup_printf("DISKLOCK_LEASE=%s", id);
    g_strv_builder_add(builder, lease_variable);
    for (guint i = 0; i < G_N_ELEMENTS(variables); i++) {
        g_autofree char *value = variables[i].value;
        g_autofree char *variable = g_strconcat(variables[i].name, "=", value, NULL);

        g_strv_builder_add(builder, variable);
    }
    return g_strv_builder_end(builder);
}

typedef struct {
    DlkEngine *engine;
    DlkLease *lease;
} Run;

static void
on_program_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autofree Run *run = user_data;
    g_autoptr(DlkLease) lease = run->lease;
    g_autoptr(DlkEngine) engine = run->engine;
    g_autoptr(GError) error = NULL;

    gboolean done = g_subprocess_wait_check_finish(G_SUBPROCESS(source), result, &error);
    if (!done)
        dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, error->message, "%s for %s: %s", lease->rule->exec,
                          lease->path, error->message);
    /* Released meanwhile: then nothing is held any more. */
    DlkHolding *holding = dlk_holding(lease);
    if (!holding)
        return;
    dlk_timers_cancel(engine->timers, &holding->grace_timer);
    g_clear_object(&holding->program);
    /* A program that failed has stopped nobody: while the process lives, it may write. */
    if (done || !lease->process || holding->released)
        dlk_break_give_up(engine, lease);
    else
        holding->action_failed = TRUE;
}

static void
on_program_overdue(gpointer user_data)
{
    DlkLease *lease = user_data;
    DlkHolding *holding = dlk_holding(lease);

    holding->grace_timer = NULL;
    g_subprocess_force_exit(holding->program);
}

static gboolean
start_program(DlkEngine *engine, DlkLease *lease)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
    g_auto(GStrv) environment = program_environment(lease);
    const char *const arguments[] = {lease->rule->exec, NULL};
    g_autoptr(GError) error = NULL;
    DlkHolding *holding = dlk_holding(lease);
    Run *run;

    g_subprocess_launcher_set_environ(launcher, environment);
    g_subprocess_launcher_set_cwd(launcher, "/");
    holding->program = g_subprocess_launcher_spawnv(launcher, arguments, &error);
    if (!holding->program) {
        dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, error->message, "Cannot run %s for %s: %s",
                          lease->rule->exec, lease->path, error->message);
        return FALSE;
    }
    run = g_new(Run, 1);
    *run = (Run){g_object_ref(engine), dlk_lease_ref(lease)};
    g_subprocess_wait_check_async(holding->program, NULL, on_program_ended, run);
    holding->grace_timer = dlk_timers_add(engine->timers, g_get_monotonic_time() + lease->rule->grace,
                                          on_program_overdue, lease);
    return TRUE;
}

/* FALSE: there is no process that could go on writing. */
static gboolean
fail(DlkLease *lease)
{
    dlk_holding(lease)->action_failed = lease->process != NULL;
    return dlk_holding(lease)->action_failed;
}

gboolean
dlk_action_run(DlkEngine *engine, DlkLease *lease)
{
    if (lease->on_break == DLK_ON_BREAK_SIGNAL)
        return TRUE;
    if (lease->on_break == DLK_ON_BREAK_EXEC)
        return !start_program(engine, lease) && !fail(lease);
    if (!lease->process) {
        dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, NULL,
                          "Nobody was stopped for %s: the process of the lease is not known, or has ended",
                          lease->path);
        return TRUE;
    }

    switch (lease->on_break) {
    case DLK_ON_BREAK_PAUSE:
        return send_signal(lease, SIGSTOP) || !fail(lease);
    case DLK_ON_BREAK_TERMINATE:
        terminate(engine, lease);
        return FALSE;
    case DLK_ON_BREAK_KILL:
        send_signal(lease, SIGKILL);
        return FALSE;
    default:
        return TRUE;
    }
}
