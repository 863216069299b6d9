#include "backend/backends.h"
#include "backend/host-key.h"
#include "backend/registration-note.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/notify.h"
#include "bus/members.h"
#include "bus/service.h"
#include "config.h"
#include "host/policy-files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define DEFAULT_RUNTIME_DIR "/run/disklock"
/* What outlives a boot. */
#define DEFAULT_STATE_DIR "/var/lib/disklock"
/* What still runs when the service is told to end gets this long: a lock that is being given back, a last
 * reply. */
#define END_US (3 * G_TIME_SPAN_SECOND)
/* What systemd did not take is said again after so long. */
#define AGAIN_MS 100

typedef struct {
    char *runtime_dir;
    char *config_file;
    gboolean check_config;
    gboolean version;
} Options;

typedef struct {
    GMainLoop *loop;
    DlkEngine *engine;
    DlkService *service; /* %NULL until the leases of an earlier run are taken up */
    gboolean ending;
    int exit_status;
} Daemon;

static gboolean
parse_options(Options *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"runtime-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->runtime_dir,
         "Keep what the service needs while it runs under DIR (default: " DEFAULT_RUNTIME_DIR ")", "DIR"},
        {"config", 0, 0, G_OPTION_ARG_FILENAME, &options->config_file,
         "FILE is the whole policy, instead of the system's files", "FILE"},
        {"check-config", 0, 0, G_OPTION_ARG_NONE, &options->check_config,
         "Read the policy, name every mistake in it, and exit", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version and exit", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    g_option_context_set_summary(context, "The system service that locks the disks of virtual machines.");
    g_option_context_set_description(context, "See disklockd(8), disklock.conf(5) and disklockctl(1).\n");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s is no option of disklockd",
                    (*argv)[1]);
        return FALSE;
    }
    return TRUE;
}

static int
check_config(const Options *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPolicy) policy =
        dlk_policy_files_load(options->config_file, NULL, dlk_backends_names(), &error);

    if (!policy) {
        g_printerr("%s\n", error->message);
        return EXIT_FAILURE;
    }
    g_print("The policy is good: %u rules.\n", policy->rules->len);
    return EXIT_SUCCESS;
}

/* Each lease holds a descriptor. */
static void
raise_descriptor_limit(void)
{
    struct rlimit limit, wanted;
    g_autofree char *most = NULL;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    wanted.rlim_cur = wanted.rlim_max = limit.rlim_max;
    if (g_file_get_contents("/proc/sys/fs/nr_open", &most, NULL, NULL))
        wanted.rlim_cur = wanted.rlim_max = MAX(limit.rlim_max, (rlim_t)g_ascii_strtoull(most, NULL, 10));
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* One service for each folder. The lock goes with the descriptor, which stays open until the process ends. */
static int
claim_runtime_dir(const char *path, GError **error)
{
    g_autofree char *lock = g_build_filename(path, "lock", NULL);
    dlk_autofd fd = -1;
    int result;

    if (g_mkdir_with_parents(path, 0755) < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot make the runtime folder %s",
                            path);
        return -1;
    }
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot open %s", lock);
        return -1;
    }
    while ((result = flock(fd, LOCK_EX | LOCK_NB)) < 0 && errno == EINTR)
        continue;
    if (result < 0) {
        if (errno == EWOULDBLOCK)
            g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "another disklockd uses the runtime folder %s",
                        path);
        else
            dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "cannot lock %s", lock);
        return -1;
    }
    return g_steal_fd(&fd);
}

/* Run by hand with a folder of its own, the service keeps everything there. */
static void
set_state_dir(const Options *options)
{
    g_autofree char *beside =
        options->runtime_dir ? g_build_filename(options->runtime_dir, "state", NULL) : NULL;

    dlk_host_key_set_folder(beside ? beside : DEFAULT_STATE_DIR);
}

/* systemd ends a service that it has not heard this of: one that could not be said is said again. */
static gboolean
say_ready(gpointer text)
{
    if (!dlk_notify_is_heard() || dlk_notify(text, -1, 0))
        return G_SOURCE_REMOVE;
    g_timeout_add(AGAIN_MS, say_ready, text);
    return G_SOURCE_REMOVE;
}

static void
on_service_event(DlkServiceEvent event, gpointer user_data)
{
    Daemon *daemon = user_data;

    switch (event) {
    case DLK_SERVICE_READY:
        say_ready((gpointer) "READY=1\nSTATUS=Answering calls");
        break;
    case DLK_SERVICE_LOST:
        dlk_notify("STATUS=The bus is gone; leases are kept; trying again", -1, 0);
        break;
    case DLK_SERVICE_NAME_TAKEN:
        g_warning("%s is owned by another process: is disklockd running already?", DLK_BUS_NAME);
        daemon->exit_status = EXIT_FAILURE;
        g_main_loop_quit(daemon->loop);
        break;
    }
}

static void
on_alive(gpointer user_data)
{
    dlk_notify("WATCHDOG=1", -1, 0);
}

/* Four times as often as systemd wants to hear of it: one that fails and the next are still in time. */
static void
serve_watchdog(DlkEngine *engine)
{
    guint64 timeout = 0;

    if (sd_watchdog_enabled(0, &timeout) > 0)
        dlk_engine_watch_progress(engine, (gint64)(timeout / 4), on_alive, NULL);
}

static void
on_recovered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Daemon *daemon = user_data;
    g_autoptr(GError) error = NULL;

    if (!dlk_engine_recover_finish(daemon->engine, result, &error)) {
        g_warning("The leases of an earlier run cannot be taken up, and are left to the next start: %s",
                  error->message);
        daemon->exit_status = EXIT_FAILURE;
        g_main_loop_quit(daemon->loop);
    } else if (!daemon->ending) {
        daemon->service = dlk_service_new(daemon->engine, on_service_event, daemon);
    }
}

static gboolean
on_terminate(gpointer user_data)
{
    Daemon *daemon = user_data;

    dlk_notify("STOPPING=1", -1, 0);
    g_main_loop_quit(daemon->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_reload(gpointer user_data)
{
    Daemon *daemon = user_data;

    g_autofree char *begun =
        g_strdup_printf("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());

    dlk_notify(begun, -1, 0);
    dlk_engine_reload(daemon->engine, NULL); /* the journal has what is wrong */
    say_ready((gpointer) "READY=1");
    return G_SOURCE_CONTINUE;
}

/* Everything that is under way holds a reference to the engine; what the storage does not let go is left
 * behind. */
static gboolean
is_quiet(GObject *engine)
{
    return g_atomic_int_get((int *)&engine->ref_count) == 1;
}

static gboolean
wait_until_quiet(DlkEngine *engine)
{
    gint64 end = g_get_monotonic_time() + END_US;

    while (!is_quiet(G_OBJECT(engine)) && g_get_monotonic_time() < end)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(G_TIME_SPAN_MILLISECOND);
    return is_quiet(G_OBJECT(engine));
}

static int
run(const Options *options, GError **error)
{
    Daemon daemon = {.exit_status = EXIT_SUCCESS};
    const char *runtime_dir = options->runtime_dir ? options->runtime_dir : DEFAULT_RUNTIME_DIR;
    dlk_autofd claim = claim_runtime_dir(runtime_dir, error);

    if (claim < 0)
        return EXIT_FAILURE;
    raise_descriptor_limit();
    set_state_dir(options);
    dlk_registration_note_set_folder(runtime_dir);
    daemon.engine = dlk_engine_new(runtime_dir, options->config_file, error);
    if (!daemon.engine)
        return EXIT_FAILURE;

    daemon.loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGTERM, on_terminate, &daemon);
    g_unix_signal_add(SIGINT, on_terminate, &daemon);
    g_unix_signal_add(SIGHUP, on_reload, &daemon);
    serve_watchdog(daemon.engine);
    dlk_notify("STATUS=Taking up the leases of an earlier run", -1, 0);
    dlk_engine_recover_async(daemon.engine, on_recovered, &daemon);
    g_main_loop_run(daemon.loop);

    daemon.ending = TRUE;
    dlk_engine_unwatch_progress(daemon.engine);
    g_clear_pointer(&daemon.service, dlk_service_free);
    g_main_loop_unref(daemon.loop);
    if (wait_until_quiet(daemon.engine))
        g_object_unref(daemon.engine);
    return daemon.exit_status;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Options options = {0};
    int status;

    setlocale(LC_ALL, "");
    dlk_log_init();
    if (!parse_options(&options, &argc, &argv, &error)) {
        g_printerr("disklockd: %s\nTry disklockd --help.\n", error->message);
        return 2;
    }
    if (options.version) {
        g_print("disklockd %s\n", PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    if (options.check_config)
        return check_config(&options);

    status = run(&options, &error);
    if (error)
        g_printerr("disklockd: %s\n", error->message);
    g_free(options.runtime_dir);
    g_free(options.config_file);
    return status;
}
