#include "core/holding.h"
#include "core/process.h"
#include "core/program.h"
#include "core/record.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/*
 * What is done to the process of a lease that breaks, through its pidfd, so that no other process can be met.
 * While the process may still write, the disk stays closed to others on this host.
 *
 * A process that may wait for its storage is stopped before it is killed, and is killed once every thread has
 * come to a stand. What a thread has under way on a storage that does not answer, SIGKILL would abandon to
 * the kernel, together with the locks by which the storage could have refused it: NFS's client sends it when
 * the server is back, under the file's open stateid (nfs4_select_rw_stateid() in fs/nfs/nfs4state.c), into a
 * disk that is another host's.
 */

/* TRUE: it was sent, or there is nobody left to send it to. */
static gboolean
send_signal(DlkLease *lease, int signal_number)
{
    if (!lease->process || dlk_pid_ref_signal(lease->process, signal_number) || errno == ESRCH)
        return TRUE;

    const char *reason = g_strerror(errno);
    dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, reason,
                      "Cannot send signal %d to process %d, which may go on writing to %s: %s", signal_number,
                      (int)lease->pid, lease->path, reason);
    return FALSE;
}

/* FALSE: there is no process that could go on writing. */
static gboolean
fail(DlkLease *lease)
{
    dlk_holding(lease)->action_failed = lease->process != NULL;
    return dlk_holding(lease)->action_failed;
}

/* FALSE: it goes on, and its disk is closed until it ends by itself. */
static gboolean
halt(DlkLease *lease)
{
    /* Else it is killed at once: its parent, nsenter(1) say, would hear that it has stopped, and stop too. */
    const gboolean kills = lease->on_break != DLK_ON_BREAK_PAUSE && !dlk_process_may_wait(lease);

    dlk_holding(lease)->stopping = !kills;
    /* The next run of the service must not continue it, to give it more time. */
    if (!kills && lease->on_break == DLK_ON_BREAK_TERMINATE)
        dlk_record_change(dlk_holding(lease)->engine, lease);
    if (!send_signal(lease, kills ? SIGKILL : SIGSTOP)) {
        dlk_holding(lease)->stopping = FALSE;
        return !fail(lease);
    }
    if (!kills)
        dlk_process_await_stop(lease);
    return TRUE;
}

/* Nobody waits for that to be said again. */
static void
give_up_if_released(DlkLease *lease)
{
    if (dlk_holding(lease)->released)
        dlk_break_give_up(dlk_holding(lease)->engine, lease);
}

void
dlk_action_go_on(DlkLease *lease, gboolean stands)
{
    dlk_holding(lease)->stopping = FALSE;
    if (lease->on_break != DLK_ON_BREAK_PAUSE) {
        /* What runs on though it was stopped, by a debugger's help say, is the greater danger. */
        if (!send_signal(lease, SIGKILL) && fail(lease))
            give_up_if_released(lease);
    } else if (stands) {
        dlk_break_give_up(dlk_holding(lease)->engine, lease);
    } else {
        const char *reason = "it does not stop";

        dlk_journal_lease(
            DLK_EVENT_ACTION_FAILED, lease, reason,
            "Process %d was told to stop for %s and has not, and may write on: see who sends it "
            "SIGCONT, TracerPid in /proc/%d/status, and cgroup.freeze of its control group",
            (int)lease->pid, lease->path, (int)lease->pid);
        if (fail(lease))
            give_up_if_released(lease);
    }
}

static void
on_grace_over(gpointer user_data)
{
    DlkLease *lease = user_data;

    dlk_holding(lease)->grace_timer = NULL;
    if (!halt(lease))
        give_up_if_released(lease);
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

static void
on_program_done(DlkEngine *engine, DlkLease *lease, const GError *problem)
{
    DlkHolding *holding = dlk_holding(lease);

    if (problem)
        dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, problem->message, "%s for %s: %s",
                          lease->rule->exec, lease->path, problem->message);
    /* Released meanwhile: then nothing is held any more. */
    if (!holding)
        return;
    /* A program that failed has stopped nobody: while the process lives, it may write. */
    if (!problem || !lease->process || holding->released)
        dlk_break_give_up(engine, lease);
    else
        holding->action_failed = TRUE;
}

static gboolean
start_program(DlkEngine *engine, DlkLease *lease)
{
    g_autoptr(GError) error = NULL;

    if (dlk_program_start(engine, lease, on_program_done, &error))
        return TRUE;
    dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, error->message, "Cannot run %s for %s: %s",
                      lease->rule->exec, lease->path, error->message);
    return FALSE;
}

gboolean
dlk_action_run(DlkEngine *engine, DlkLease *lease)
{
    if (lease->on_break == DLK_ON_BREAK_SIGNAL)
        return TRUE;
    if (lease->on_break == DLK_ON_BREAK_EXEC)
        return !start_program(engine, lease) && !fail(lease);
    if (!lease->process) {
        const char *reason = "the process of the lease is not known, or has ended";

        dlk_journal_lease(DLK_EVENT_ACTION_FAILED, lease, reason,
                          "Nobody was stopped for %s, which is free now: %s", lease->path, reason);
        return TRUE;
    }

    switch (lease->on_break) {
    case DLK_ON_BREAK_PAUSE:
    case DLK_ON_BREAK_KILL:
        (void)halt(lease);
        return FALSE;
    case DLK_ON_BREAK_TERMINATE:
        /* Who was stopped, for another disk perhaps, must not be continued to end by himself. */
        if (dlk_holding(lease)->stopping || dlk_process_is_stopped(lease))
            (void)halt(lease);
        else
            terminate(engine, lease);
        return FALSE;
    default:
        return TRUE;
    }
}
