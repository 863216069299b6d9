#include "base/pid-threads.h"
#include "core/holding.h"
#include "core/program.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/*
 * What is done to the process of a lease that breaks, through its pidfd, so that no other process can be met.
 * While the process may still write, the disk stays closed to others on this host.
 *
 * A process is stopped before it is killed, and is killed once every thread has come to a stand. What a
 * thread has under way on a storage that does not answer, SIGKILL would abandon to the kernel, together with
 * the locks by which the storage could have refused it: NFS's client sends it when the server is back, under
 * the file's open stateid (nfs4_select_rw_stateid() in fs/nfs/nfs4state.c), into a disk that is another
 * host's.
 */

/* A process that answers stands within milliseconds. To look at hundreds that do not, with all their threads,
 * is work: there is no hurry, they are stopped. */
#define FIRST_LOOK_US 1000
#define SLOWEST_LOOK 10 /* doublings: a second */
/* A process that has not stopped by then does not for want of time. */
#define SLOW_LOOK 5

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

static void on_look_due(gpointer user_data);

static void
look_later(DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);
    const gint64 pause = (gint64)FIRST_LOOK_US << MIN(holding->looks, SLOWEST_LOOK);

    holding->grace_timer =
        dlk_timers_add(holding->engine->timers, g_get_monotonic_time() + pause, on_look_due, lease);
}

/* It is over with a process that is paused; one that is killed has yet to end. */
static void
on_stopped(DlkLease *lease)
{
    DlkHolding *holding = dlk_holding(lease);

    if (lease->on_break == DLK_ON_BREAK_PAUSE)
        dlk_break_give_up(holding->engine, lease);
    else if (!send_signal(lease, SIGKILL) && fail(lease) && holding->released)
        dlk_break_give_up(holding->engine, lease);
}

static void
on_look_due(gpointer user_data)
{
    DlkLease *lease = user_data;
    DlkHolding *holding = dlk_holding(lease);
    const DlkThreads found = lease->process ? dlk_pid_threads_look(lease->process) : DLK_THREADS_STAND;

    holding->grace_timer = NULL;
    if (found == DLK_THREADS_STAND) {
        on_stopped(lease);
        return;
    }
    holding->looks = MIN(holding->looks + 1, SLOWEST_LOOK);
    if (found == DLK_THREADS_RUN && holding->looks >= SLOW_LOOK)
        dlk_pid_threads_stop_others(lease->process);
    look_later(lease);
}

/* FALSE: it goes on, and its disk is closed until it ends by itself. */
static gboolean
stop(DlkLease *lease)
{
    if (!send_signal(lease, SIGSTOP))
        return !fail(lease);
    dlk_holding(lease)->looks = 0;
    look_later(lease);
    return TRUE;
}

static void
on_grace_over(gpointer user_data)
{
    DlkLease *lease = user_data;

    DlkHolding *holding = dlk_holding(lease);

    holding->grace_timer = NULL;
    /* It was released before anybody knew that it would not end. */
    if (!stop(lease) && holding->released)
        dlk_break_give_up(holding->engine, lease);
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
        (void)stop(lease);
        return FALSE;
    case DLK_ON_BREAK_TERMINATE:
        terminate(engine, lease);
        return FALSE;
    default:
        return TRUE;
    }
}
