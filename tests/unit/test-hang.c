#include "base/error.h"
#include "host/identify.h"
#include "host/pool.h"
#include "scratch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (30 * G_USEC_PER_SEC)
#define FILES 200

/* A real filesystem that hangs (tests/tools/hang-fs), and jobs that identify disks on it and beside it. */
typedef struct {
    Scratch scratch;
    GMainContext *context;
    DlkPool *pool;
    DlkMounts *mounts;
    char *remote;
    char *local;
    pid_t server;
    FILE *words; /* what the server says */
    guint answers, found, unreachable;
} Fixture;

typedef struct {
    DlkMounts *mounts;
    char *path;
    char *lane;
} Input;

static gpointer
run(gpointer data, GError **error)
{
    Input *input = data;
    g_autofree char *elsewhere = NULL;
    return dlk_identify_path(input->mounts, input->path, input->lane, &elsewhere, error);
}

static void
input_free(gpointer data)
{
    Input *input = data;
    dlk_mounts_unref(input->mounts);
    g_free(input->path);
    g_free(input->lane);
    g_free(input);
}

static const DlkJob job = {"identify", run, input_free, (GDestroyNotify)dlk_target_unref};

static void
answered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Fixture *f = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkTarget) target = dlk_pool_run_finish(f->pool, result, &error);
    f->answers++;
    f->found += target != NULL;
    f->unreachable += g_error_matches(error, DLK_ERROR, DLK_ERROR_UNREACHABLE);
}

static void
identify(Fixture *f, const char *path, gint64 time)
{
    Input *input = g_new0(Input, 1);
    input->mounts = dlk_mounts_ref(f->mounts);
    input->path = g_strdup(path);
    input->lane = g_strdup(dlk_mounts_of_path(f->mounts, path)->lane);
    dlk_pool_run_async(f->pool, &job, input, input->lane, NULL, g_get_monotonic_time() + time, answered, f);
}

static void
identify_all(Fixture *f, gint64 time)
{
    for (guint i = 0; i < FILES; i++) {
        g_autofree char *path = g_strdup_printf("%s/disk-%u.img", f->remote, i);
        identify(f, path, time);
    }
}

static void
wait_for_word(Fixture *f, const char *word)
{
    char line[64] = "";
    g_assert_nonnull(fgets(line, sizeof line, f->words));
    g_assert_cmpstr(g_strchomp(line), ==, word);
}

static void
tell(Fixture *f, int signal_number, const char *word)
{
    g_assert_cmpint(kill(f->server, signal_number), ==, 0);
    wait_for_word(f, word);
}

static void
start_server(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    int words = -1;
    char *argv[] = {(char *)HANG_FS, f->remote, (char *)G_STRINGIFY(FILES), NULL};
    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &f->server, NULL,
                             &words, NULL, &error);
    g_assert_no_error(error);
    f->words = fdopen(words, "r");
    wait_for_word(f, "ready");
}

static void
set_up(Fixture *f, gconstpointer data)
{
    g_autofree char *text = NULL;
    scratch_init(&f->scratch);
    f->remote = scratch_folder(&f->scratch, "remote");
    f->local = scratch_file(&f->scratch, "local.img");
    start_server(f);
    g_assert_true(g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL));
    f->mounts = dlk_mounts_parse(text);
    f->context = g_main_context_new();
    f->pool = dlk_pool_new(f->context);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    int status = 0;
    dlk_pool_free(f->pool);
    g_main_context_unref(f->context);
    dlk_mounts_unref(f->mounts);
    g_assert_cmpint(kill(f->server, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(f->server, &status, 0), ==, f->server);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    fclose(f->words);
    scratch_clear(&f->scratch);
    g_free(f->remote);
    g_free(f->local);
}

#define WAIT_UNTIL(f, condition)                                                                             \
    for (gint64 end = g_get_monotonic_time() + PATIENCE; !(condition);) {                                    \
        g_assert_cmpint(g_get_monotonic_time(), <, end);                                                     \
        if (!g_main_context_iteration((f)->context, FALSE))                                                  \
            g_usleep(200);                                                                                   \
    }

static guint
count_entries(const char *folder)
{
    guint count = 0;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    while (g_dir_read_name(dir) != NULL)
        count++;
    return count;
}

static void
test_disks_on_it_are_found_while_it_answers(Fixture *f, gconstpointer data)
{
    identify_all(f, PATIENCE);
    WAIT_UNTIL(f, f->answers == FILES);
    g_assert_cmpuint(f->found, ==, FILES);
}

static void
test_two_hundred_disks_are_unreachable_and_others_go_on(Fixture *f, gconstpointer data)
{
    tell(f, SIGUSR1, "hanging");
    identify_all(f, G_USEC_PER_SEC / 2);
    for (guint i = 0; i < 1000; i++)
        identify(f, f->local, PATIENCE);
    WAIT_UNTIL(f, f->found == 1000);
    WAIT_UNTIL(f, f->unreachable == FILES);
    g_assert_cmpuint(dlk_pool_stuck(f->pool), ==, DLK_POOL_LANE_JOBS);
    tell(f, SIGUSR2, "answering");
    WAIT_UNTIL(f, dlk_pool_stuck(f->pool) == 0);
}

static void
test_nothing_leaks_when_it_comes_back(Fixture *f, gconstpointer data)
{
    identify_all(f, PATIENCE);
    WAIT_UNTIL(f, f->answers == FILES);
    guint descriptors = count_entries("/proc/self/fd");

    for (guint round = 1; round <= 3; round++) {
        tell(f, SIGUSR1, "hanging");
        identify_all(f, G_USEC_PER_SEC / 5);
        WAIT_UNTIL(f, f->unreachable == round * FILES);
        tell(f, SIGUSR2, "answering");
        WAIT_UNTIL(f, dlk_pool_stuck(f->pool) == 0);
    }
    WAIT_UNTIL(f, count_entries("/proc/self/fd") == descriptors);
    WAIT_UNTIL(f, count_entries("/proc/self/task") <= DLK_POOL_THREADS + 2);
    identify_all(f, PATIENCE);
    WAIT_UNTIL(f, f->found == 2 * FILES);
}

#define TEST(name) g_test_add("/hang/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(disks_on_it_are_found_while_it_answers);
    TEST(two_hundred_disks_are_unreachable_and_others_go_on);
    TEST(nothing_leaks_when_it_comes_back);
    return g_test_run();
}
