#include "core/process.h"

#include "base/error.h"
#include "base/pid-threads.h"
#include "core/holding.h"

#include <errno.h>

/* A process that answers stands within milliseconds. To look at hundreds that do not, with all their threads,
 * is work: there is no hurry, they are stopped. */
#define FIRST_LOOK_US 1000
#define SLOWEST_LOOK 11 /* doublings: two seconds */
/* A thread that runs still then does not for want of time. */
#define SLOW_LOOK 5
/* Of the slowest looks; together with those before some ten seconds. */
#define MOST_RESISTING 4

struct _DlkProcess {
    DlkEngine *engine;
    DlkPidRef *process;
    DlkWatch *watch;
    GHashTable *leases;   /* set of DlkLease, borrowed: a lease leaves before it is freed */
    DlkTimer *look_timer; /* while it is being stopped */
    guint looks;
    guint resisting; /* of them, so many found that it does not stop */
    guint64 ticks;   /* of processor time that it had used at the last */
};

static void
process_free(gpointer data)
{
    DlkProcess *self = data;

    dlk_watcher_cancel(self->engine->watcher, &self->watch);
    dlk_timers_cancel(self->engine->timers, &self->look_timer);
    g_hash_table_unref(self->leases);
    dlk_pid_ref_unref(self->process);
    g_free(self);
}

static DlkProcess *
find(DlkEngine *engine, DlkPidRef *process)
{
    return process ? g_hash_table_lookup(engine->processes, process) : NULL;
}

static void
on_ended(gpointer user_data)
{
    DlkProcess *self = user_data;
    DlkEngine *engine = self->engine;
    g_autoptr(GPtrArray) leases = dlk_holding_leases_of(self->leases);

    self->watch = NULL;
    g_hash_table_remove(engine->processes, self->process);
    for (guint i = 0; i < leases->len; i++) {
        DlkLease *lease = g_ptr_array_index(leases, i);

        g_clear_pointer(&lease->process, dlk_pid_ref_unref);
        if (lease->phase != DLK_PHASE_HELD)
            continue;
        /* The number may be another process's from now on: its locks are foreign. */
        if (dlk_holding(lease)->hold)
            g_atomic_int_set(&dlk_holding(lease)->hold->pid, 0);
        if (lease->state == DLK_STATE_BROKEN)
            dlk_break_process_ended(engine, lease);
        else if (lease->lifetime == DLK_LIFETIME_PROCESS)
            dlk_engine_release(engine, lease, "its process has ended");
    }
}

gboolean
dlk_process_watch(DlkEngine *engine, DlkLease *lease, GError **error)
{
    DlkProcess *self = find(engine, lease->process);

    if (!self) {
        self = g_new0(DlkProcess, 1);
        self->engine = engine;
        self->process = dlk_pid_ref_ref(lease->process);
        self->leases = g_hash_table_new(NULL, NULL);
        self->watch = dlk_watcher_add(engine->watcher, dlk_pid_ref_fd(self->process), FALSE, on_ended, self);
        if (!self->watch) {
            int saved_errno = errno;

            process_free(self);
            return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, saved_errno,
                                       "cannot watch process %d", (int)lease->pid);
        }
        g_hash_table_insert(engine->processes, self->process, self);
    }
    /* One pidfd for all of them. */
    dlk_pid_ref_ref(self->process);
    dlk_pid_ref_unref(lease->process);
    lease->process = self->process;
    g_hash_table_add(self->leases, lease);
    return TRUE;
}

void
dlk_process_unwatch(DlkEngine *engine, DlkLease *lease, DlkPidRef *process)
{
    DlkProcess *self = find(engine, process);

    if (!self)
        return;
    g_hash_table_remove(self->leases, lease);
    if (g_hash_table_size(self->leases) == 0)
        g_hash_table_remove(engine->processes, self->process);
}

/* ---- stopping it ---- */

/* Those leases may be its last: then @self is gone. */
static void
go_on(DlkProcess *self, gboolean stands)
{
    g_autoptr(GPtrArray) leases = dlk_holding_leases_of(self->leases);

    for (guint i = 0; i < leases->len; i++) {
        DlkLease *lease = g_ptr_array_index(leases, i);

        if (dlk_holding(lease) && dlk_holding(lease)->stopping)
            dlk_action_go_on(lease, stands);
    }
}

static void on_look_due(gpointer user_data);

static void
look_later(DlkProcess *self)
{
    const gint64 pause = (gint64)FIRST_LOOK_US << self->looks;

    self->look_timer =
        dlk_timers_add(self->engine->timers, g_get_monotonic_time() + pause, on_look_due, self);
    self->looks = MIN(self->looks + 1, SLOWEST_LOOK);
}

/* Does any storage of its leases not answer? */
static gboolean
is_at_risk(const DlkProcess *self)
{
    GHashTableIter iter;
    gpointer lease;

    g_hash_table_iter_init(&iter, self->leases);
    while (g_hash_table_iter_next(&iter, &lease, NULL))
        if (dlk_holding(lease) && dlk_holding(lease)->risk_since != 0)
            return TRUE;
    return FALSE;
}

/* Who waits for a storage does nothing meanwhile, however long that is. But a process can make a thread wait
 * for what it likes, a child of vfork(2) say, and have the others continued between two looks. */
static gboolean
resists(const DlkProcess *self, const DlkThreadsSeen *seen)
{
    return seen->state == DLK_THREADS_RUN || seen->ticks > self->ticks;
}

static void
on_look_due(gpointer user_data)
{
    DlkProcess *self = user_data;
    const DlkThreadsSeen seen = dlk_pid_threads_look(self->process);

    self->look_timer = NULL;
    if (self->looks == SLOWEST_LOOK && resists(self, &seen))
        self->resisting++;
    self->ticks = seen.ticks;
    if (seen.state == DLK_THREADS_STAND || self->resisting > MOST_RESISTING) {
        go_on(self, seen.state == DLK_THREADS_STAND);
        return;
    }
    if (seen.state == DLK_THREADS_RUN && self->looks > SLOW_LOOK)
        dlk_pid_threads_stop_others(self->process, seen.waiting);
    look_later(self);
}

void
dlk_process_await_stop(DlkLease *lease)
{
    DlkProcess *self = find(dlk_holding(lease)->engine, lease->process);

    g_return_if_fail(self != NULL);
    if (self->look_timer)
        return;
    self->looks = self->resisting = 0;
    look_later(self);
}

gboolean
dlk_process_may_wait(const DlkLease *lease)
{
    const DlkProcess *self = find(dlk_holding(lease)->engine, lease->process);

    if (!self || self->look_timer || is_at_risk(self))
        return self != NULL;
    const DlkThreadsSeen seen = dlk_pid_threads_look(self->process);
    return seen.waiting > 0 || seen.state == DLK_THREADS_UNKNOWN;
}

gboolean
dlk_process_is_stopped(const DlkLease *lease)
{
    const DlkProcess *self = find(dlk_holding(lease)->engine, lease->process);

    if (!self || self->look_timer)
        return self != NULL;
    const DlkThreadsSeen seen = dlk_pid_threads_look(self->process);
    return seen.state <= DLK_THREADS_WAIT && seen.standing > 0;
}

void
dlk_process_init_engine(DlkEngine *engine)
{
    engine->processes = g_hash_table_new_full(dlk_pid_ref_hash, dlk_pid_ref_equal, NULL, process_free);
}
