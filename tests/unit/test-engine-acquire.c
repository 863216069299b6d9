#include "engine-fixture.h"

#include "base/fd.h"

#include <fcntl.h>
#include <unistd.h>

static void
test_disk_is_taken_and_given_back(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");

    g_assert_cmpint(lease->phase, ==, DLK_PHASE_HELD);
    g_assert_cmpint(lease->state, ==, DLK_STATE_ACTIVE);
    g_assert_cmpstr(lease->backend, ==, "fake");
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 1);
    g_assert_true(dlk_table_find(dlk_engine_table(f->engine), &lease->id) == lease);
    engine_release(f, lease);
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 0);
    g_assert_null(dlk_table_find(dlk_engine_table(f->engine), &lease->id));
    engine_assert_events(f, "acquired a.img\nreleased a.img\n");
}

static void
test_lease_says_what_was_asked_for(EngineFixture *f, gconstpointer data)
{
    const gint64 before = g_get_real_time();
    DlkLease *lease =
        engine_acquire(f, "a.img", DLK_MODE_SHARED,
                       "{'owner': <'web01'>, 'owner-uuid': <'6c0ba7f3'>, 'why': <'start'>, "
                       "'lifetime': <'connection'>, 'on-break': <'pause'>, 'backend': <'fake'>}");

    g_assert_cmpstr(lease->path, ==, engine_image(f, "a.img"));
    g_assert_cmpint(lease->mode, ==, DLK_MODE_SHARED);
    g_assert_cmpstr(lease->owner, ==, "web01");
    g_assert_cmpstr(lease->owner_uuid, ==, "6c0ba7f3");
    g_assert_cmpstr(lease->why, ==, "start");
    g_assert_cmpint(lease->lifetime, ==, DLK_LIFETIME_CONNECTION);
    g_assert_cmpint(lease->on_break, ==, DLK_ON_BREAK_PAUSE);
    g_assert_cmpuint(lease->uid, ==, 0);
    g_assert_cmpint(lease->pid, ==, getpid());
    g_assert_cmpint(lease->acquired_at, >=, before);
    g_assert_cmpint(lease->acquired_at, <=, g_get_real_time());
}

static void
test_owner_is_the_callers_command_where_none_is_named(EngineFixture *f, gconstpointer data)
{
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);

    g_assert_cmpstr(lease->owner, ==, "test-program");
    g_assert_null(lease->owner_uuid);
    g_assert_null(lease->why);
}

static void
test_tokens_grow_with_every_grant(EngineFixture *f, gconstpointer data)
{
    DlkLease *first = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_release(f, first);
    DlkLease *second = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    DlkLease *third = engine_acquire(f, "b.img", DLK_MODE_EXCLUSIVE, NULL);

    g_assert_cmpuint(second->token, >, first->token);
    g_assert_cmpuint(third->token, >, second->token);
}

static void
test_second_taker_hears_who_how_and_since_when(EngineFixture *f, gconstpointer data)
{
    char id[DLK_LEASE_ID_LENGTH + 1];
    DlkLease *lease = engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");
    EngineAnswer *second = engine_ask_as(f, f->root, "a.img", DLK_MODE_READ_ONLY, "{'owner': <'db01'>}");
    g_autofree char *process = g_strdup_printf("pid %d, uid 0", (int)getpid());

    dlk_lease_id_format(&lease->id, id);
    id[8] = '\0';
    engine_assert_error(second, DLK_ERROR_BUSY, engine_image(f, "a.img"));
    engine_assert_error(second, DLK_ERROR_BUSY, "is held exclusively by web01");
    engine_assert_error(second, DLK_ERROR_BUSY, process);
    engine_assert_error(second, DLK_ERROR_BUSY, "on this host since 20");
    engine_assert_error(second, DLK_ERROR_BUSY, id);
    engine_assert_events(f, "acquired a.img\n");
}

static void
test_compatible_leases_stand_together(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
    g_assert_cmpuint(engine_held(f, "a.img"), ==, 3);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "is held shared by");
}

static void
test_refusal_says_how_many_are_in_the_way(EngineFixture *f, gconstpointer data)
{
    engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    engine_acquire(f, "a.img", DLK_MODE_SHARED, NULL);
    engine_acquire(f, "a.img", DLK_MODE_READ_ONLY, NULL);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "; 2 more in the way");
}

static void
test_disk_that_is_being_taken_is_busy_already(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    EngineAnswer *first = engine_ask_as(f, f->root, "a.img", DLK_MODE_EXCLUSIVE, "{'owner': <'web01'>}");
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    engine_refused(f, "a.img", DLK_MODE_SHARED, NULL, DLK_ERROR_BUSY, "is being taken exclusively by web01");
    dlk_fake_backend_go_on(f->fake);
    engine_granted(first);
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 1);
}

static void
test_busy_outside_the_table_is_reported(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_busy(f->fake, 1);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "locked by another host");
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_failure_of_the_backend_is_reported_and_leaves_nothing(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_fail(f->fake, DLK_FAKE_ACQUIRE, DLK_ERROR_BACKEND_FAILED, "no lock daemon");
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BACKEND_FAILED, "no lock daemon");
    g_assert_cmpuint(dlk_table_live_count(dlk_engine_table(f->engine)), ==, 0);
    engine_acquire(f, "a.img", DLK_MODE_EXCLUSIVE, NULL);
}

static void
test_disk_that_changes_while_it_is_locked_is_not_granted(EngineFixture *f, gconstpointer data)
{
    dlk_fake_backend_answer(f->fake, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BACKEND_FAILED, "changed while");
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 0);
}

static void
test_descriptor_proves_access(EngineFixture *f, gconstpointer data)
{
    DlkRequest *request = engine_request(f->root, NULL);
    const char *path = engine_image(f, "a.img");
    dlk_autofd fd = open(path, O_RDWR | O_CLOEXEC);

    dlk_request_add(request, NULL, fd, DLK_MODE_EXCLUSIVE);
    DlkLease *lease = engine_granted(engine_ask(f, request));
    g_assert_cmpstr(lease->path, ==, path);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "is held");
}

static void
test_descriptor_for_reading_proves_no_right_to_write(EngineFixture *f, gconstpointer data)
{
    DlkRequest *request = engine_request(f->root, NULL);

    dlk_autofd fd = open(engine_image(f, "a.img"), O_RDONLY | O_CLOEXEC);

    dlk_request_add(request, NULL, fd, DLK_MODE_SHARED);
    engine_assert_error(engine_ask(f, request), DLK_ERROR_NOT_AUTHORIZED, "for reading only");
}

static void
test_path_must_be_absolute_short_and_a_disk(EngineFixture *f, gconstpointer data)
{
    static const struct {
        const char *path;
        DlkError code;
        const char *message;
    } paths[] = {
        {"a.img", DLK_ERROR_INVALID_ARGS, "is not an absolute path"},
        {"", DLK_ERROR_INVALID_ARGS, "is not an absolute path"},
        {"/nonexistent/a.img", DLK_ERROR_NOT_A_DISK, "/nonexistent"},
        {"/", DLK_ERROR_NOT_A_DISK, "folder"},
        {"/dev/null", DLK_ERROR_NOT_A_DISK, "/dev/null"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(paths); i++) {
        DlkRequest *request = engine_request(f->root, NULL);

        dlk_request_add(request, paths[i].path, -1, DLK_MODE_EXCLUSIVE);
        engine_assert_error(engine_ask(f, request), paths[i].code, paths[i].message);
    }

    g_autofree char *tail = g_strnfill(4095, 'a');
    g_autofree char *path = g_strconcat("/", tail, NULL);
    DlkRequest *request = engine_request(f->root, NULL);
    dlk_request_add(request, path, -1, DLK_MODE_EXCLUSIVE);
    engine_assert_error(engine_ask(f, request), DLK_ERROR_INVALID_ARGS, "4096 bytes; at most 4095");
}

static void
test_link_leads_to_the_same_disk(EngineFixture *f, gconstpointer data)
{
    g_autofree char *link = scratch_link(&f->scratch, "link.img", engine_image(f, "a.img"));

    engine_acquire(f, "link.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "is held");
}

static void
test_link_leads_to_another_filesystem(EngineFixture *f, gconstpointer data)
{
    g_autofree char *link = scratch_link(&f->scratch, "null.img", "/dev/null");

    engine_refused(f, "null.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_NOT_A_DISK, "/dev/null");
}

static void
test_caller_who_is_gone_already_gets_nothing(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(0, ":1.2", NULL);

    g_cancellable_cancel(caller->gone);
    engine_assert_error(engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, NULL), DLK_ERROR_NOT_AUTHORIZED,
                        "left the bus");
    engine_assert_events(f, "");
}

static void
test_caller_who_leaves_while_a_worker_locks_gets_nothing(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(0, ":1.2", NULL);

    dlk_fake_backend_hang(f->fake, DLK_FAKE_ACQUIRE);
    EngineAnswer *answer = engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, NULL);
    engine_wait_until(dlk_fake_backend_hanging(f->fake) == 1);
    g_cancellable_cancel(caller->gone);
    dlk_fake_backend_go_on(f->fake);
    engine_assert_error(answer, DLK_ERROR_NOT_AUTHORIZED, "left the bus");
    engine_wait_until(dlk_fake_backend_held_in_all(f->fake) == 0);
    engine_assert_events(f, "");
}

static void
test_lease_for_a_process_that_does_not_live_is_refused(EngineFixture *f, gconstpointer data)
{
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, "{'pid': <uint32 2147483646>}", DLK_ERROR_INVALID_ARGS,
                   "2147483646");

    DlkRequest *request = engine_request(f->root, NULL);
    request->pidfd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dlk_request_add(request, engine_image(f, "a.img"), -1, DLK_MODE_EXCLUSIVE);
    engine_assert_error(engine_ask(f, request), DLK_ERROR_INVALID_ARGS, "");
}

static void
test_process_lifetime_needs_a_process(EngineFixture *f, gconstpointer data)
{
    g_autoptr(DlkCaller) caller = engine_caller(0, ":1.2", NULL);
    EngineAnswer *answer = engine_ask_as(f, caller, "a.img", DLK_MODE_EXCLUSIVE, "{'lifetime': <'process'>}");

    engine_assert_error(answer, DLK_ERROR_INVALID_ARGS, "give pidfd");
}

static void
test_foreign_user_of_the_image_is_named(EngineFixture *f, gconstpointer data)
{
    dlk_autofd fd = open(engine_image(f, "a.img"), O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_start = 201, .l_len = 1};

    /* As a QEMU of another container, say, that has no lease. */
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    engine_refused(f, "a.img", DLK_MODE_EXCLUSIVE, NULL, DLK_ERROR_BUSY, "has no lease");
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 0);
}

int
main(int argc, char **argv)
{
    engine_init(&argc, &argv);
    engine_add("/engine-acquire/taken-and-given-back", NULL, test_disk_is_taken_and_given_back);
    engine_add("/engine-acquire/lease-says-what-was-asked-for", NULL, test_lease_says_what_was_asked_for);
    engine_add("/engine-acquire/owner-is-the-command", NULL,
               test_owner_is_the_callers_command_where_none_is_named);
    engine_add("/engine-acquire/tokens-grow", NULL, test_tokens_grow_with_every_grant);
    engine_add("/engine-acquire/second-taker-hears-who", NULL,
               test_second_taker_hears_who_how_and_since_when);
    engine_add("/engine-acquire/compatible-leases", NULL, test_compatible_leases_stand_together);
    engine_add("/engine-acquire/how-many-are-in-the-way", NULL, test_refusal_says_how_many_are_in_the_way);
    engine_add("/engine-acquire/being-taken-is-busy", NULL, test_disk_that_is_being_taken_is_busy_already);
    engine_add("/engine-acquire/busy-outside-the-table", NULL, test_busy_outside_the_table_is_reported);
    engine_add("/engine-acquire/failure-leaves-nothing", NULL,
               test_failure_of_the_backend_is_reported_and_leaves_nothing);
    engine_add("/engine-acquire/changed-while-locked", NULL,
               test_disk_that_changes_while_it_is_locked_is_not_granted);
    engine_add("/engine-acquire/descriptor-proves-access", NULL, test_descriptor_proves_access);
    engine_add("/engine-acquire/descriptor-for-reading", NULL,
               test_descriptor_for_reading_proves_no_right_to_write);
    engine_add("/engine-acquire/paths-that-are-no-disk", NULL, test_path_must_be_absolute_short_and_a_disk);
    engine_add("/engine-acquire/link-to-the-same-disk", NULL, test_link_leads_to_the_same_disk);
    engine_add("/engine-acquire/link-to-another-filesystem", NULL, test_link_leads_to_another_filesystem);
    engine_add("/engine-acquire/caller-gone-before", NULL, test_caller_who_is_gone_already_gets_nothing);
    engine_add("/engine-acquire/caller-gone-while-locking", NULL,
               test_caller_who_leaves_while_a_worker_locks_gets_nothing);
    engine_add("/engine-acquire/process-that-does-not-live", NULL,
               test_lease_for_a_process_that_does_not_live_is_refused);
    engine_add("/engine-acquire/process-lifetime-needs-a-process", NULL,
               test_process_lifetime_needs_a_process);
    engine_add("/engine-acquire/foreign-user-is-named", NULL, test_foreign_user_of_the_image_is_named);
    return g_test_run();
}
