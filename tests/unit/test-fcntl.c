#include "backend/image-locks.h"
#include "image-fixture.h"

#include <string.h>

#define TOGETHER FALSE
#define STRICT TRUE

static void
convert(DlkHold *hold, DlkMode mode)
{
    g_autoptr(GError) error = NULL;
    dlk_backend_convert(hold->backend, hold, mode, &error);
    g_assert_no_error(error);
    g_assert_cmpint((gint)hold->mode, ==, (gint)mode);
}

static void
assert_conversion_refused(DlkHold *hold, DlkMode mode)
{
    g_autoptr(GError) error = NULL;
    const DlkMode before = hold->mode;
    g_assert_false(dlk_backend_convert(hold->backend, hold, mode, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    g_assert_cmpint((gint)hold->mode, ==, (gint)before);
}

static void
assert_busy(Image *image, DlkMode mode, gboolean strict, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkHold) hold = image_try(image, mode, strict, &error);
    g_assert_null(hold);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, image->path));
    if (strstr(error->message, text) == NULL)
        g_error("\"%s\" does not say \"%s\"", error->message, text);
}

/* The bytes that @self's image has locked, seen from outside: "w0 r2". */
static char *
locked_bytes(Image *image)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const int bytes[] = {0, 1, 2, 3, 100, 101, 201};
    for (guint i = 0; i < G_N_ELEMENTS(bytes); i++) {
        if (image_refuses(image, F_WRLCK, bytes[i])) {
            g_string_append_printf(text, "%s%c%d", text->len > 0 ? " " : "",
                                   image_refuses(image, F_RDLCK, bytes[i]) ? 'w' : 'r', bytes[i]);
        }
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void
assert_locked(Image *image, const char *expected)
{
    g_autofree char *bytes = locked_bytes(image);
    g_assert_cmpstr(bytes, ==, expected);
}

static void
test_each_mode_locks_its_bytes_and_none_else(Image *image, gconstpointer data)
{
    const struct {
        DlkMode mode;
        gboolean strict;
        const char *bytes;
    } cases[] = {
        {DLK_MODE_EXCLUSIVE, TOGETHER, "w0"}, {DLK_MODE_SHARED, TOGETHER, "r0"},
        {DLK_MODE_READ_ONLY, TOGETHER, "r0"}, {DLK_MODE_EXCLUSIVE, STRICT, "w0"},
        {DLK_MODE_SHARED, STRICT, "r0 r2"},   {DLK_MODE_READ_ONLY, STRICT, "r0 r3"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(DlkHold) hold = image_take(image, cases[i].mode, cases[i].strict);
        assert_locked(image, cases[i].bytes);
        image_give_back(hold);
        assert_locked(image, "");
    }
}

static void
test_reader_does_not_open_for_writing(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) reader = image_take(image, DLK_MODE_READ_ONLY, TOGETHER);
    g_assert_cmpint(fcntl(reader->fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
}

static void
test_modes_exclude_each_other_across_holds(Image *image, gconstpointer data)
{
    for (DlkMode first = 0; first < DLK_N_MODES; first++) {
        for (DlkMode second = 0; second < DLK_N_MODES; second++) {
            for (gboolean strict = FALSE; strict <= TRUE; strict++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(DlkHold) held = image_take(image, first, strict);
                g_autoptr(DlkHold) tried = image_try(image, second, strict, &error);
                g_assert_cmpint(tried == NULL, ==, dlk_mode_conflicts(first, second, strict));
                g_clear_pointer(&tried, dlk_hold_unref);
                image_give_back(held);
            }
        }
    }
}

static void
test_virtlockd_keeps_us_out_and_is_named(Image *image, gconstpointer data)
{
    g_auto(OtherProcess) virtlockd = image_lock_elsewhere(image, "virtlockd", F_SETLK, F_WRLCK, 0, 0);
    g_autofree char *who = g_strdup_printf(
        "locked by virtlockd (pid %d), which is not a lease of this service", (int)virtlockd.pid);
    assert_busy(image, DLK_MODE_EXCLUSIVE, TOGETHER, who);
    assert_busy(image, DLK_MODE_SHARED, TOGETHER, who);
    assert_busy(image, DLK_MODE_READ_ONLY, TOGETHER, who);
    other_process_stop(&virtlockd);
    G_GNUC_UNUSED g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
}

static void
test_shareable_disk_of_virtlockd_can_be_shared(Image *image, gconstpointer data)
{
    G_GNUC_UNUSED g_auto(OtherProcess) virtlockd =
        image_lock_elsewhere(image, "virtlockd", F_SETLK, F_RDLCK, 0, 0);
    assert_busy(image, DLK_MODE_EXCLUSIVE, TOGETHER, "virtlockd");
    assert_busy(image, DLK_MODE_READ_ONLY, STRICT, "virtlockd");
    G_GNUC_UNUSED g_autoptr(DlkHold) shared = image_take(image, DLK_MODE_SHARED, TOGETHER);
    G_GNUC_UNUSED g_autoptr(DlkHold) reader = image_take(image, DLK_MODE_READ_ONLY, TOGETHER);
}

static void
test_by_version_3_of_nfs_strict_readers_are_refused(Image *image, gconstpointer data)
{
    g_free(image->target->disk->filesystem);
    image->target->disk->filesystem = g_strdup("nfs");
    for (DlkMode mode = 0; mode < DLK_N_MODES; mode++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkHold) alone = image_try(image, mode, TRUE, &error);
        g_assert_cmpint(alone != NULL, ==, mode == DLK_MODE_EXCLUSIVE);
        if (alone == NULL)
            g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
        else
            g_assert_false(dlk_backend_convert(alone->backend, alone, DLK_MODE_SHARED, NULL));
        if (alone != NULL)
            image_give_back(alone);
        g_autoptr(DlkHold) together = image_take(image, mode, FALSE);
        image_give_back(together);
    }
}

static void
test_strict_reader_elsewhere_keeps_writers_out(Image *image, gconstpointer data)
{
    G_GNUC_UNUSED g_auto(OtherProcess) byte_0 =
        image_lock_elsewhere(image, "other", F_OFD_SETLK, F_RDLCK, 0, 0);
    G_GNUC_UNUSED g_auto(OtherProcess) byte_3 =
        image_lock_elsewhere(image, "other", F_OFD_SETLK, F_RDLCK, 3, 3);
    assert_busy(image, DLK_MODE_SHARED, STRICT, "other (pid");
    assert_locked(image, "r0 r3"); /* ours is given back */
}

static void
test_hostile_name_of_the_holder_is_made_printable(Image *image, gconstpointer data)
{
    G_GNUC_UNUSED g_auto(OtherProcess) other =
        image_lock_elsewhere(image, "a\nb\x1b[2J\xff", F_OFD_SETLK, F_WRLCK, 0, 0);
    assert_busy(image, DLK_MODE_EXCLUSIVE, TOGETHER, "a\\x0ab\\x1b[2J\\xff (pid");
}

static void
test_lock_of_another_hold_of_ours_is_not_called_foreign(Image *image, gconstpointer data)
{
    G_GNUC_UNUSED g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    assert_busy(image, DLK_MODE_EXCLUSIVE, TOGETHER, "still locked by another lease of this service");
}

static void
test_lock_outlives_a_close_elsewhere_in_the_process(Image *image, gconstpointer data)
{
    G_GNUC_UNUSED g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    close(open(image->path, O_RDWR | O_CLOEXEC));
    assert_locked(image, "w0");
}

static void
test_release_unlocks_though_a_copy_of_the_descriptor_lives(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    dlk_autofd copy = fcntl(hold->fd, F_DUPFD_CLOEXEC, 3);
    g_assert_cmpint(copy, >=, 0);
    image_give_back(hold);
    assert_locked(image, "");
    g_assert_cmpint(hold->fd, ==, -1);
}

static void
test_failed_acquire_leaves_no_descriptor(Image *image, gconstpointer data)
{
    DlkBackend *backend = dlk_backends_get("fcntl");
    G_GNUC_UNUSED g_auto(OtherProcess) virtlockd =
        image_lock_elsewhere(image, "virtlockd", F_SETLK, F_WRLCK, 0, 0);
    g_autoptr(DlkHold) hold = dlk_hold_new(backend, image->target, DLK_MODE_SHARED, FALSE, 0);
    g_assert_false(dlk_backend_acquire(backend, hold, image->rule, NULL));
    g_assert_cmpint(hold->fd, ==, -1);
}

static void
test_every_conversion_ends_with_the_bytes_of_its_mode(Image *image, gconstpointer data)
{
    const char *bytes[2][DLK_N_MODES] = {{"w0", "r0", "r0"}, {"w0", "r0 r2", "r0 r3"}};
    for (DlkMode from = 0; from < DLK_N_MODES; from++) {
        for (DlkMode to = 0; to < DLK_N_MODES; to++) {
            for (gboolean strict = FALSE; strict <= TRUE; strict++) {
                g_autoptr(DlkHold) hold = image_take(image, from, strict);
                convert(hold, to);
                assert_locked(image, bytes[strict][to]);
                image_give_back(hold);
                assert_locked(image, "");
            }
        }
    }
}

/* Once, the lock is changed, and the answer that says so is lost. */
static struct {
    short type; /* of the change; 0: none */
    Image *image;
    gboolean somebody_comes;
    OtherProcess other;
} lost_answer;

gboolean __real_dlk_image_locks_set(int fd, guint64 byte, short type);
gboolean __wrap_dlk_image_locks_set(int fd, guint64 byte, short type);
gboolean
__wrap_dlk_image_locks_set(int fd, guint64 byte, short type)
{
    const gboolean done = __real_dlk_image_locks_set(fd, byte, type);
    if (lost_answer.image == NULL || type != lost_answer.type || byte != DLK_BYTE_LEASE)
        return done;
    if (lost_answer.somebody_comes)
        lost_answer.other = image_lock_elsewhere(lost_answer.image, "other", F_OFD_SETLK, F_RDLCK, 0, 0);
    lost_answer.image = NULL;
    errno = EIO;
    return FALSE;
}

static void
test_conversion_whose_answer_is_lost_leaves_the_old_lock(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    g_autoptr(GError) error = NULL;
    lost_answer.image = image;
    lost_answer.type = F_RDLCK;
    lost_answer.somebody_comes = FALSE;
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_SHARED, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    assert_locked(image, "w0");
    image_give_back(hold);
}

static void
test_conversion_whose_answer_is_lost_loses_the_lock_to_who_came_in(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_EXCLUSIVE, TOGETHER);
    g_autoptr(GError) error = NULL;
    lost_answer.image = image;
    lost_answer.type = F_RDLCK;
    lost_answer.somebody_comes = TRUE;
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_SHARED, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST);
    image_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    other_process_stop(&lost_answer.other);
    image_give_back(hold);
}

static guint kept_under;

static gboolean
keep(guint spare, int fd)
{
    kept_under = spare;
    return TRUE;
}

static void
test_new_descriptor_of_a_reader_is_kept_before_it_is_used(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_READ_ONLY, TOGETHER);
    const guint spares[DLK_HOLD_PARTS] = {7, 0};
    kept_under = 0;
    dlk_hold_set_spares(hold, spares, keep);
    convert(hold, DLK_MODE_EXCLUSIVE);
    g_assert_cmpuint(kept_under, ==, 7);
    g_assert_true(dlk_hold_take_spare(hold, 0));
    image_give_back(hold);
}

/* Nobody waited for the conversion any longer: the number may be another lease's. */
static void
test_place_that_was_taken_back_gets_no_descriptor(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_READ_ONLY, TOGETHER);
    g_autoptr(GError) error = NULL;
    const guint spares[DLK_HOLD_PARTS] = {7, 0};
    kept_under = 0;
    dlk_hold_set_spares(hold, spares, keep);
    g_assert_false(dlk_hold_take_spare(hold, 0));
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNREACHABLE);
    g_assert_cmpuint(kept_under, ==, 0);
    image_assert_check(hold, DLK_CHECK_HELD, NULL);
    assert_locked(image, "r0");
    image_give_back(hold);
}

static void
test_refused_upgrade_of_a_reader_leaves_it_a_reader(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_READ_ONLY, TOGETHER);
    g_auto(OtherProcess) other = image_lock_elsewhere(image, "virtlockd", F_SETLK, F_RDLCK, 0, 0);
    assert_conversion_refused(hold, DLK_MODE_EXCLUSIVE);
    image_assert_check(hold, DLK_CHECK_HELD, NULL);
    other_process_stop(&other);
    assert_locked(image, "r0");
    convert(hold, DLK_MODE_EXCLUSIVE);
}

static void
test_refused_strict_conversion_leaves_the_old_bytes(Image *image, gconstpointer data)
{
    g_autoptr(DlkHold) reader = image_take(image, DLK_MODE_READ_ONLY, STRICT);
    g_autoptr(DlkHold) other = image_take(image, DLK_MODE_READ_ONLY, STRICT);
    assert_conversion_refused(reader, DLK_MODE_SHARED);
    assert_conversion_refused(reader, DLK_MODE_EXCLUSIVE);
    assert_locked(image, "r0 r3");
    image_give_back(other);
    assert_locked(image, "r0 r3");
    image_give_back(reader);
    assert_locked(image, "");
}

/* Asks for a write lock as fast as it can, and fails the test's wait if it ever gets it. */
static gpointer
try_to_sneak_in(gpointer data)
{
    Image *image = ((gpointer *)data)[0];
    gint *stop = ((gpointer *)data)[1];
    guint *refused = ((gpointer *)data)[2];
    dlk_autofd fd = open(image->path, O_RDWR | O_CLOEXEC);
    while (g_atomic_int_get(stop) == 0) {
        if (dlk_image_locks_set(fd, DLK_BYTE_LEASE, F_WRLCK))
            return GINT_TO_POINTER(TRUE);
        g_atomic_int_inc((gint *)refused);
    }
    return GINT_TO_POINTER(FALSE);
}

static void
test_conversion_leaves_no_moment_without_a_lock(Image *image, gconstpointer data)
{
    gint stop = 0;
    guint refused = 0;
    gpointer shared[] = {image, &stop, &refused};
    g_autoptr(DlkHold) hold = image_take(image, DLK_MODE_READ_ONLY, TOGETHER);
    GThread *thread = g_thread_new("sneak", try_to_sneak_in, shared);
    for (guint round = 0; round < 500 || g_atomic_int_get((gint *)&refused) < 500; round++) {
        g_autoptr(DlkHold) next =
            image_take(image, DLK_MODE_READ_ONLY, TOGETHER); /* its descriptor only reads */
        image_give_back(hold);
        g_clear_pointer(&hold, dlk_hold_unref);
        convert(next, DLK_MODE_SHARED);
        convert(next, DLK_MODE_EXCLUSIVE);
        convert(next, DLK_MODE_READ_ONLY);
        hold = g_steal_pointer(&next);
    }
    g_atomic_int_set(&stop, 1);
    g_assert_false(GPOINTER_TO_INT(g_thread_join(thread)));
}

static void
test_file_that_cannot_be_opened_for_writing_is_named(Image *image, gconstpointer data)
{
    g_autofree char *program = image_sibling(image, "program");
    g_autoptr(GError) error = NULL;
    g_autofree char *contents = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents("/bin/sleep", &contents, &length, NULL));
    g_assert_true(
        g_file_set_contents_full(program, contents, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
    char *arguments[] = {program, (char *)"1000", NULL};
    GPid child = 0;
    g_assert_true(g_spawn_async(NULL, arguments, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &child, NULL));
    G_GNUC_UNUSED g_auto(OtherProcess) running = {child};
    DlkBackend *backend = dlk_backends_get("fcntl");
    g_autoptr(DlkTarget) target = image_target(image->folder, program, "program");
    g_autoptr(DlkHold) hold = dlk_hold_new(backend, target, DLK_MODE_EXCLUSIVE, FALSE, 0);
    g_assert_false(dlk_backend_acquire(backend, hold, image->rule, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
    g_assert_nonnull(strstr(error->message, program));
    g_assert_nonnull(strstr(error->message, g_strerror(ETXTBSY)));
}

static void
test_probe_refuses_what_is_not_a_file_and_says_why(void)
{
    g_autoptr(DlkRule) rule = dlk_rule_new("any");
    DlkBackend *backend = dlk_backends_get("fcntl");
    const DlkKind kinds[] = {DLK_KIND_BLOCK, DLK_KIND_NETWORK};
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkDisk) disk = dlk_disk_new(kinds[i], "other:1");
        g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
        g_assert_false(dlk_backend_probe(backend, target, rule, &error));
        g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, dlk_kind_to_string(kinds[i])));
    }
}

static void
add(const char *path, void (*test)(Image *, gconstpointer))
{
    g_test_add(path, Image, NULL, image_set_up, test, image_tear_down);
}

static void
add_locking(void)
{
    add("/fcntl/each-mode-locks-its-bytes-and-none-else", test_each_mode_locks_its_bytes_and_none_else);
    add("/fcntl/reader-does-not-open-for-writing", test_reader_does_not_open_for_writing);
    add("/fcntl/modes-exclude-each-other-across-holds", test_modes_exclude_each_other_across_holds);
    add("/fcntl/virtlockd-keeps-us-out-and-is-named", test_virtlockd_keeps_us_out_and_is_named);
    add("/fcntl/shareable-disk-of-virtlockd-can-be-shared", test_shareable_disk_of_virtlockd_can_be_shared);
    add("/fcntl/by-version-3-of-nfs-strict-readers-are-refused",
        test_by_version_3_of_nfs_strict_readers_are_refused);
    add("/fcntl/strict-reader-elsewhere-keeps-writers-out", test_strict_reader_elsewhere_keeps_writers_out);
    add("/fcntl/hostile-name-of-the-holder-is-made-printable",
        test_hostile_name_of_the_holder_is_made_printable);
    add("/fcntl/lock-of-another-hold-of-ours-is-not-called-foreign",
        test_lock_of_another_hold_of_ours_is_not_called_foreign);
    add("/fcntl/lock-outlives-a-close-elsewhere-in-the-process",
        test_lock_outlives_a_close_elsewhere_in_the_process);
    add("/fcntl/release-unlocks-though-a-copy-of-the-descriptor-lives",
        test_release_unlocks_though_a_copy_of_the_descriptor_lives);
    add("/fcntl/failed-acquire-leaves-no-descriptor", test_failed_acquire_leaves_no_descriptor);
    add("/fcntl/file-that-cannot-be-opened-for-writing-is-named",
        test_file_that_cannot_be_opened_for_writing_is_named);
    g_test_add_func("/fcntl/probe-refuses-what-is-not-a-file-and-says-why",
                    test_probe_refuses_what_is_not_a_file_and_says_why);
}

static void
add_conversions(void)
{
    add("/fcntl/convert/every-conversion-ends-with-the-bytes-of-its-mode",
        test_every_conversion_ends_with_the_bytes_of_its_mode);
    add("/fcntl/convert/new-descriptor-of-a-reader-is-kept-before-it-is-used",
        test_new_descriptor_of_a_reader_is_kept_before_it_is_used);
    add("/fcntl/convert/place-that-was-taken-back-gets-no-descriptor",
        test_place_that_was_taken_back_gets_no_descriptor);
    add("/fcntl/convert/refused-upgrade-of-a-reader-leaves-it-a-reader",
        test_refused_upgrade_of_a_reader_leaves_it_a_reader);
    add("/fcntl/convert/lost-answer-leaves-the-old-lock",
        test_conversion_whose_answer_is_lost_leaves_the_old_lock);
    add("/fcntl/convert/lost-answer-loses-the-lock-to-who-came-in",
        test_conversion_whose_answer_is_lost_loses_the_lock_to_who_came_in);
    add("/fcntl/convert/refused-strict-conversion-leaves-the-old-bytes",
        test_refused_strict_conversion_leaves_the_old_bytes);
    add("/fcntl/convert/leaves-no-moment-without-a-lock", test_conversion_leaves_no_moment_without_a_lock);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_locking();
    add_conversions();
    return g_test_run();
}
