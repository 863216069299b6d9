#include "core/program.h"

#include "core/holding.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the journal gets of one program: a line, and all. What comes after is read and dropped. */
#define LINE_BYTES 1024
#define OUTPUT_BYTES (64 * 1024)
#define READ_BYTES 4096
/* As a program expects it: select(2) knows no more, and some close all that there may be. */
#define DESCRIPTORS 1024

/* ---- what it prints ---- */

/* Lives until everybody who has the other end of the pipe has closed it. */
typedef struct {
    DlkLease *lease;
    GInputStream *pipe;
    GString *line;
    gsize logged;
} Output;

static void read_more(Output *output);

static void
output_free(Output *output)
{
    dlk_lease_unref(output->lease);
    g_object_unref(output->pipe);
    g_string_free(output->line, TRUE);
    g_free(output);
}

static void
end_line(Output *output)
{
    const DlkLease *lease = output->lease;

    if (output->line->len > 0 && output->logged < OUTPUT_BYTES)
        dlk_journal_lease(DLK_EVENT_PROGRAM_SAID, lease, NULL, "%s for %s: %s%s", lease->rule->exec,
                          lease->path, output->line->str,
                          output->logged + output->line->len < OUTPUT_BYTES ? "" : " (the rest is left out)");
    output->logged += output->line->len;
    g_string_truncate(output->line, 0);
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Output *output = user_data;
    g_autoptr(GBytes) bytes = g_input_stream_read_bytes_finish(output->pipe, result, NULL);
    gsize length = 0;
    const char *text = bytes ? g_bytes_get_data(bytes, &length) : NULL;

    for (gsize i = 0; i < length; i++) {
        if (text[i] == '\n' || text[i] == '\0' || output->line->len == LINE_BYTES)
            end_line(output);
        if (text[i] != '\n' && text[i] != '\0')
            g_string_append_c(output->line, text[i]);
    }
    if (length > 0) {
        read_more(output);
        return;
    }
    end_line(output);
    output_free(output);
}

static void
read_more(Output *output)
{
    g_input_stream_read_bytes_async(output->pipe, READ_BYTES, G_PRIORITY_LOW, NULL, on_read, output);
}

static void
log_output(DlkLease *lease, GSubprocess *program)
{
    Output *output = g_new0(Output, 1);

    output->lease = dlk_lease_ref(lease);
    output->pipe = g_object_ref(g_subprocess_get_stdout_pipe(program));
    output->line = g_string_new(NULL);
    read_more(output);
}

/* ---- what it is given ---- */

static char **
environment_for(const DlkLease *lease)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    g_autofree char *uid = g_strdup_printf("%u", lease->uid);
    g_autofree char *pid = g_strdup_printf("%d", lease->process ? (int)lease->pid : 0);
    g_autofree char *token = g_strdup_printf("%" G_GUINT64_FORMAT, lease->token);
    const char *const variables[][2] = {
        {"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"},
        {"DISKLOCK_LEASE", id},
        {"DISKLOCK_DISK", lease->disk->id},
        {"DISKLOCK_PATH", lease->path},
        {"DISKLOCK_MODE", dlk_mode_to_string(lease->mode)},
        {"DISKLOCK_BACKEND", lease->backend},
        {"DISKLOCK_OWNER", lease->owner},
        {"DISKLOCK_OWNER_UUID", lease->owner_uuid ? lease->owner_uuid : ""},
        {"DISKLOCK_UID", uid},
        {"DISKLOCK_PID", pid},
        {"DISKLOCK_TOKEN", token},
        {"DISKLOCK_REASON", lease->broken_reason},
    };
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    dlk_lease_id_format(&lease->id, id);
    for (guint i = 0; i < G_N_ELEMENTS(variables); i++) {
        g_autofree char *variable = g_strconcat(variables[i][0], "=", variables[i][1], NULL);

        g_strv_builder_add(builder, variable);
    }
    return g_strv_builder_end(builder);
}

/* Between fork(2) and execve(2): only what signal-safety(7) allows. */
static void
prepare_child(gpointer data)
{
    const struct rlimit *descriptors = data;

    setsid();
    /* It finishes its work though the service, which reads what it prints, has ended. */
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_NOFILE, descriptors);
}

/* The service has raised its own limit. */
static struct rlimit *
descriptor_limit(void)
{
    struct rlimit *limit = g_new0(struct rlimit, 1);

    getrlimit(RLIMIT_NOFILE, limit);
    limit->rlim_cur = MIN(limit->rlim_cur, DESCRIPTORS);
    return limit;
}

/* ---- its end ---- */

typedef struct {
    DlkEngine *engine;
    DlkLease *lease;
    DlkProgramDone done;
} Run;

static void
on_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autofree Run *run = user_data;
    g_autoptr(DlkLease) lease = run->lease;
    g_autoptr(DlkEngine) engine = run->engine;
    g_autoptr(GError) problem = NULL;
    DlkHolding *holding = dlk_holding(lease);

    g_subprocess_wait_check_finish(G_SUBPROCESS(source), result, &problem);
    if (holding) {
        dlk_timers_cancel(engine->timers, &holding->grace_timer);
        g_clear_object(&holding->program);
    }
    run->done(engine, lease, problem);
}

static void
on_overdue(gpointer user_data)
{
    DlkLease *lease = user_data;
    DlkHolding *holding = dlk_holding(lease);
    const char *pid = g_subprocess_get_identifier(holding->program);

    holding->grace_timer = NULL;
    dlk_journal_lease(DLK_EVENT_PROGRAM_SAID, lease, NULL,
                      "%s for %s is killed: it took longer than grace=", lease->rule->exec, lease->path);
    if (pid) /* not yet waited for, so that the number is still its own, and its session's */
        kill(-(pid_t)g_ascii_strtoll(pid, NULL, 10), SIGKILL);
    g_subprocess_force_exit(holding->program);
}

gboolean
dlk_program_start(DlkEngine *engine, DlkLease *lease, DlkProgramDone done, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    g_auto(GStrv) environment = environment_for(lease);
    const char *const arguments[] = {lease->rule->exec, NULL};
    DlkHolding *holding = dlk_holding(lease);

    g_subprocess_launcher_set_environ(launcher, environment);
    g_subprocess_launcher_set_cwd(launcher, "/");
    g_subprocess_launcher_set_child_setup(launcher, prepare_child, descriptor_limit(), g_free);
    holding->program = g_subprocess_launcher_spawnv(launcher, arguments, error);
    if (!holding->program)
        return FALSE;

    Run *run = g_new(Run, 1);
    *run = (Run){g_object_ref(engine), dlk_lease_ref(lease), done};
    g_subprocess_wait_check_async(holding->program, NULL, on_ended, run);
    log_output(lease, holding->program);
    holding->grace_timer =
        dlk_timers_add(engine->timers, g_get_monotonic_time() + lease->rule->grace, on_overdue, lease);
    return TRUE;
}
