#include "engine-fixture.h"

#include "backend/backends.h"
#include "core/internal.h"

#include <sys/stat.h>
#include <unistd.h>

static DlkFakeBackend *the_fake;

/* Refusals and broken leases are what the tests are about; only what should never happen ends them. */
static GLogWriterOutput
write_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    if ((level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL)) != 0)
        return g_log_writer_default(level, fields, n_fields, user_data);
    return G_LOG_WRITER_HANDLED;
}

static int
compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What the descriptors of this process are, a line each; those of the same kind can stand for each other. */
static char *
list_descriptors(void)
{
    g_autoptr(GDir) folder = g_dir_open("/proc/self/fd", 0, NULL);
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while ((name = g_dir_read_name(folder))) {
        g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
        char *target = g_file_read_link(path, NULL);

        /* The folder's own descriptor is named after this process; two that are asked often are kept for
         * ever. */
        if (target && !strstr(target, "/fd") && !g_str_equal(target, "/proc/swaps") &&
            !g_str_equal(target, "/sys/kernel/uevent_seqnum"))
            g_ptr_array_add(lines, target);
        else
            g_free(target);
    }
    g_ptr_array_sort(lines, compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

/* GLib's own thread for children keeps descriptors of its own once it has been needed, and the child's for a
 * moment. */
static void
start_glibs_worker(void)
{
    static const char *const command[] = {"true", NULL};
    GSubprocess *child = g_subprocess_newv(command, G_SUBPROCESS_FLAGS_NONE, NULL);
    gboolean reaped = FALSE;

    g_assert_true(g_subprocess_wait(child, NULL, NULL));
    g_object_unref(child);
    while (!reaped) {
        g_autofree char *descriptors = list_descriptors();

        reaped = !strstr(descriptors, "pidfd");
        engine_turn();
    }
}

void
engine_init(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    g_log_set_writer_func(write_log, NULL, NULL);
    the_fake = dlk_fake_backend_new();
    dlk_backends_add(DLK_BACKEND(the_fake));
    start_glibs_worker();
}

void
engine_add(const char *path, const char *policy, EngineTest test)
{
    g_test_add(path, EngineFixture, policy ? policy : ENGINE_POLICY, engine_set_up, test, engine_tear_down);
}

/* ---- setting up and tearing down ---- */

static void
note(EngineFixture *self, const char *event, const DlkLease *lease, const char *reason)
{
    g_autofree char *name = g_path_get_basename(lease->path);

    if (g_str_equal(name, "settle.img"))
        return;
    g_string_append_printf(self->events, "%s %s%s%s\n", event, name, reason ? ": " : "",
                           reason ? reason : "");
}

static void
on_acquired(DlkEngine *engine, DlkLease *lease, EngineFixture *self)
{
    note(self, "acquired", lease, NULL);
}

static void
on_released(DlkEngine *engine, DlkLease *lease, EngineFixture *self)
{
    note(self, "released", lease, NULL);
}

static void
on_restored(DlkEngine *engine, DlkLease *lease, EngineFixture *self)
{
    note(self, "restored", lease, NULL);
}

static void
on_at_risk(DlkEngine *engine, DlkLease *lease, const char *reason, EngineFixture *self)
{
    note(self, "at-risk", lease, reason);
}

static void
on_broken(DlkEngine *engine, DlkLease *lease, const char *reason, EngineFixture *self)
{
    note(self, "broken", lease, reason);
}

static void
on_changed(DlkEngine *engine, DlkLease *lease, EngineFixture *self)
{
    self->changes++;
}

static void
on_policy_changed(DlkEngine *engine, EngineFixture *self)
{
    g_string_append(self->events, "policy-changed\n");
}

static void
answer_free(gpointer data)
{
    EngineAnswer *answer = data;

    g_assert_true(answer->done);
    g_clear_error(&answer->error);
    g_clear_pointer(&answer->leases, g_ptr_array_unref);
    g_clear_pointer(&answer->report, g_variant_unref);
    if (answer->keep_fd >= 0)
        close(answer->keep_fd);
    g_free(answer);
}

static void
on_recovered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_assert_true(dlk_engine_recover_finish(DLK_ENGINE(source), result, NULL));
    *(gboolean *)user_data = TRUE;
}

void
engine_start(EngineFixture *self)
{
    g_autoptr(GError) error = NULL;
    gboolean recovered = FALSE;

    self->engine = dlk_engine_new(self->scratch.path, self->config, &error);
    g_assert_no_error(error);
    g_signal_connect(self->engine, "acquired", G_CALLBACK(on_acquired), self);
    g_signal_connect(self->engine, "released", G_CALLBACK(on_released), self);
    g_signal_connect(self->engine, "restored", G_CALLBACK(on_restored), self);
    g_signal_connect(self->engine, "at-risk", G_CALLBACK(on_at_risk), self);
    g_signal_connect(self->engine, "broken", G_CALLBACK(on_broken), self);
    g_signal_connect(self->engine, "changed", G_CALLBACK(on_changed), self);
    g_signal_connect(self->engine, "policy-changed", G_CALLBACK(on_policy_changed), self);
    dlk_engine_recover_async(self->engine, on_recovered, &recovered);
    engine_wait_until(recovered);
}

void
engine_set_up(EngineFixture *self, gconstpointer policy)
{
    self->descriptors = list_descriptors();
    scratch_init(&self->scratch);
    self->config = scratch_path(&self->scratch, "disklock.conf");
    engine_write_policy(self, policy);
    self->fake = the_fake;
    self->root = engine_caller_of_pid(0, ":1.1", getpid());
    self->events = g_string_new(NULL);
    self->answers = g_ptr_array_new_with_free_func(answer_free);
    engine_start(self);
}

static gboolean
all_answered(const EngineFixture *self)
{
    for (guint i = 0; i < self->answers->len; i++) {
        const EngineAnswer *answer = self->answers->pdata[i];

        if (!answer->done)
            return FALSE;
    }
    return TRUE;
}

void
engine_restart(EngineFixture *self)
{
    engine_wait_until(all_answered(self));
    engine_wait_until(G_OBJECT(self->engine)->ref_count == 1);
    g_ptr_array_set_size(self->answers, 0);
    g_object_unref(self->engine);
    dlk_fake_backend_die(self->fake);
    engine_start(self);
}

static void
release_everything(EngineFixture *self)
{
    DlkTable *table = dlk_engine_table(self->engine);
    DlkLease *lease;

    for (guint64 token = 0; (lease = dlk_table_next(table, token)); token = lease->token)
        if (lease->state != DLK_STATE_BROKEN)
            dlk_engine_release(self->engine, lease, "the test is over");
    engine_wait_until(all_answered(self));
    /* The rest is being broken, and ends when its process does. */
    engine_wait_until(dlk_table_live_count(table) == 0);
    while ((lease = dlk_table_next(table, 0)))
        dlk_engine_release(self->engine, lease, "the test is over");
}

static void
assert_nothing_is_left(EngineFixture *self)
{
    DlkEngine *engine = self->engine;

    engine_wait_until(dlk_table_count(engine->table) == 0 && dlk_table_live_count(engine->table) == 0);
    engine_wait_until(G_OBJECT(engine)->ref_count == 1);
    engine_wait_until(dlk_pool_running(engine->pool) == 0 && dlk_pool_stuck(engine->pool) == 0);
    g_assert_cmpuint(g_hash_table_size(engine->processes), ==, 0);
    g_assert_cmpuint(g_hash_table_size(engine->connections), ==, 0);
    engine_wait_until(g_hash_table_size(engine->due) == 0);
    g_assert_cmpuint(dlk_fake_backend_held_in_all(self->fake), ==, 0);
}

static gboolean
descriptors_are_closed(const EngineFixture *self)
{
    g_autofree char *left = list_descriptors();

    return g_str_equal(left, self->descriptors);
}

void
engine_tear_down(EngineFixture *self, gconstpointer policy)
{
    dlk_fake_backend_reset(self->fake);
    release_everything(self);
    assert_nothing_is_left(self);
    g_object_unref(self->engine);
    g_ptr_array_unref(self->answers);
    dlk_caller_unref(self->root);
    g_string_free(self->events, TRUE);
    g_free(self->config);
    scratch_clear(&self->scratch);

    /* What a program has printed is read to its end, which comes after its own. */
    engine_wait_until(descriptors_are_closed(self));
    g_free(self->descriptors);
}

/* ---- waiting ---- */

void
engine_turn(void)
{
    if (!g_main_context_iteration(NULL, FALSE))
        g_usleep(500);
}

void
engine_out_of_patience(const char *what)
{
    g_error("%s: has not happened in %d s", what, (int)(ENGINE_PATIENCE / G_TIME_SPAN_SECOND));
}

void
engine_settle(EngineFixture *self)
{
    DlkLease *lease = engine_acquire(self, "settle.img", DLK_MODE_EXCLUSIVE, "{'backend': <'host'>}");

    engine_release(self, lease);
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

/* ---- who calls, and with what ---- */

DlkCaller *
engine_caller(uid_t uid, const char *name, DlkPidRef *process)
{
    DlkCaller *caller = g_new0(DlkCaller, 1);

    caller->references = 1;
    caller->name = g_strdup(name);
    caller->uid = uid;
    caller->process = process;
    caller->command = g_ref_string_new("test-program");
    caller->gone = g_cancellable_new();
    return caller;
}

DlkCaller *
engine_caller_of_pid(uid_t uid, const char *name, pid_t pid)
{
    g_autoptr(GError) error = NULL;
    DlkPidRef *process = dlk_pid_ref_new(pid, &error);

    g_assert_no_error(error);
    return engine_caller(uid, name, process);
}

const char *
engine_image(EngineFixture *self, const char *name)
{
    g_autofree char *path = scratch_path(&self->scratch, name);

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        g_free(scratch_file(&self->scratch, name));
    return g_intern_string(path);
}

char *
engine_disk_id(EngineFixture *self, const char *name)
{
    EngineAnswer *answer = engine_ask_inspect(self, engine_image(self, name));
    char *id = NULL;

    engine_assert_good(answer);
    g_assert_true(g_variant_lookup(answer->report, "disk", "s", &id));
    return id;
}

void
engine_write_policy(EngineFixture *self, const char *text)
{
    g_autoptr(GError) error = NULL;

    g_file_set_contents_full(self->config, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error);
    g_assert_no_error(error);
}

DlkRequest *
engine_request(DlkCaller *caller, const char *options)
{
    const DlkLimits limits = {.string_length = 256};
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) dictionary =
        g_variant_parse(G_VARIANT_TYPE("a{sv}"), options ? options : "{}", NULL, NULL, &error);

    g_assert_no_error(error);
    DlkOptions *parsed = dlk_options_parse(dictionary, &limits, &error);
    g_assert_no_error(error);
    return dlk_request_new(caller, "acquire", parsed);
}

/* ---- what happened ---- */

void
engine_assert_events(EngineFixture *self, const char *events)
{
    g_assert_cmpstr(self->events->str, ==, events);
    g_string_truncate(self->events, 0);
}

gboolean
engine_has_event(const EngineFixture *self, const char *event)
{
    return strstr(self->events->str, event) != NULL;
}

guint
engine_held(EngineFixture *self, const char *image)
{
    g_autofree char *id = engine_disk_id(self, image);

    return dlk_fake_backend_held(self->fake, id);
}
