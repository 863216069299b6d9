#include "backend/holder-slots.h"
#include "backend/image-locks.h"
#include "lockspace-fixture.h"
#include "model/holder-record.h"

#include <string.h>

static const DlkHolder *
only_holder(GPtrArray *holders)
{
    g_assert_cmpuint(holders->len, ==, 1);
    return holders->pdata[0];
}

static const DlkHolder *
holder_of(GPtrArray *holders, const char *owner)
{
    for (guint i = 0; i < holders->len; i++) {
        const DlkHolder *holder = holders->pdata[i];
        if (g_strcmp0(holder->owner, owner) == 0)
            return holder;
    }
    g_assert_not_reached();
}

/* Puts @length bytes where the first record of the disk stands. */
static void
write_record(Space *f, const char *bytes, gsize length)
{
    dlk_autofd fd = open(f->lock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(pwrite(fd, bytes, length, DLK_LOCK_FILE_HEADER), ==, length);
}

static void
forge_record(Space *f, const char *host, const char *owner)
{
    g_autoptr(DlkHolder) holder = dlk_holder_new(DLK_MODE_EXCLUSIVE);
    holder->host = g_ref_string_new(host);
    holder->owner = g_ref_string_new(owner);
    g_autofree char *record = dlk_holder_record_format(holder, DLK_MODE_EXCLUSIVE, 0);
    write_record(f, record, strlen(record));
}

/* Once, before the next fencing locks the lock file that it has opened. */
static struct {
    void (*func)(Space *f);
    Space *f;
} before_fencing;

gboolean __real_dlk_image_locks_set(int fd, guint64 byte, short type);
gboolean __wrap_dlk_image_locks_set(int fd, guint64 byte, short type);
gboolean
__wrap_dlk_image_locks_set(int fd, guint64 byte, short type)
{
    void (*func)(Space * f) = before_fencing.func;
    if (func != NULL && byte == DLK_BYTE_FENCE && type == F_WRLCK) {
        before_fencing.func = NULL;
        func(before_fencing.f);
    }
    return __real_dlk_image_locks_set(fd, byte, type);
}

/* The host is gone, and nobody has cleaned up behind it. */
static void
die(DlkHold *hold)
{
    dlk_hold_unref(hold);
}

static void
test_a_disk_that_nobody_ever_locked_has_no_holder(Space *f, gconstpointer data)
{
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpuint(holders->len, ==, 0);
    g_assert_false(g_file_test(f->lock_file, G_FILE_TEST_EXISTS)); /* asking leaves no trace */
}

static void
test_a_holder_is_named_and_confirmed(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_autoptr(GPtrArray) holders = space_holders(f);
    const DlkHolder *holder = only_holder(holders);
    g_assert_cmpstr(holder->host, ==, "alpha");
    g_assert_cmpstr(holder->host_name, ==, "node7");
    g_assert_cmpstr(holder->owner, ==, "web01");
    g_assert_cmpint((gint)holder->mode, ==, (gint)DLK_MODE_EXCLUSIVE);
    g_assert_cmpint(holder->since, ==, 1766000000000000);
    g_assert_true(holder->confirmed);
}

static void
test_each_of_several_holders_has_a_record(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) one = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    g_autoptr(DlkHold) two = space_take(f, "beta", "web02", DLK_MODE_READ_ONLY);
    g_autoptr(DlkHold) three = space_take(f, "beta", "web03", DLK_MODE_SHARED);
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpuint(holders->len, ==, 3);
    g_assert_cmpstr(holder_of(holders, "web01")->host, ==, "alpha");
    g_assert_cmpint((gint)holder_of(holders, "web02")->mode, ==, (gint)DLK_MODE_READ_ONLY);
    g_assert_true(holder_of(holders, "web03")->confirmed);
}

static void
test_a_record_goes_with_the_release(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    space_give_back(hold);
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpuint(holders->len, ==, 0);
}

static void
test_a_record_follows_the_mode(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_true(dlk_backend_convert(f->backend, hold, DLK_MODE_READ_ONLY, NULL));
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpint((gint)only_holder(holders)->mode, ==, (gint)DLK_MODE_READ_ONLY);
}

static void
test_the_record_of_a_dead_holder_is_unconfirmed_and_refuses_nobody(Space *f, gconstpointer data)
{
    die(space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE));
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpstr(only_holder(holders)->owner, ==, "web01");
    g_assert_false(only_holder(holders)->confirmed);
    g_autoptr(DlkHold) next = space_take(f, "beta", "web02", DLK_MODE_EXCLUSIVE);
}

static void
test_the_next_holder_overwrites_the_records_of_the_dead(Space *f, gconstpointer data)
{
    DlkHold *one = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    DlkHold *two = space_take(f, "alpha", "web02", DLK_MODE_SHARED);
    die(one);
    die(two);
    g_autoptr(DlkHold) next = space_take(f, "beta", "web03", DLK_MODE_EXCLUSIVE);
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpstr(only_holder(holders)->owner, ==, "web03");
}

static void
test_one_dead_holder_among_the_living_is_told_apart(Space *f, gconstpointer data)
{
    DlkHold *dead = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    g_autoptr(DlkHold) living = space_take(f, "beta", "web02", DLK_MODE_SHARED);
    die(dead);
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_false(holder_of(holders, "web01")->confirmed);
    g_assert_true(holder_of(holders, "web02")->confirmed);
}

static void
test_a_forged_record_refuses_nobody_and_is_unconfirmed(Space *f, gconstpointer data)
{
    forge_record(f, "mallory", "nobody");
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_false(only_holder(holders)->confirmed);
    g_autoptr(DlkHold) hold = space_take(f, "beta", "web02", DLK_MODE_EXCLUSIVE);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_a_forged_record_over_a_living_one_grants_nothing(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_autofree char *nothing = g_malloc0(DLK_HOLDER_RECORD_MAX);
    write_record(f, nothing, DLK_HOLDER_RECORD_MAX);
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "is");
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_a_torn_record_of_a_living_holder_is_somebody_unknown(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    write_record(f, "disklock-holder 1 host=be", 25);
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_null(only_holder(holders)->host);
    g_assert_true(only_holder(holders)->confirmed);
    g_assert_cmpint((gint)only_holder(holders)->mode, ==, (gint)DLK_MODE_EXCLUSIVE);
}

static void
test_a_file_full_of_garbage_names_nobody(Space *f, gconstpointer data)
{
    g_autofree char *garbage = g_strnfill(512 * 1024, 'x');
    write_record(f, garbage, strlen(garbage));
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpuint(holders->len, ==, 0);
    g_autoptr(DlkHold) hold = space_take(f, "beta", "web02", DLK_MODE_SHARED);
    g_autoptr(GPtrArray) now = space_holders(f);
    g_assert_cmpstr(only_holder(now)->owner, ==, "web02");
}

static void
test_more_holders_than_slots_are_let_in_and_not_named(Space *f, gconstpointer data)
{
    g_autoptr(GPtrArray) holds = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_hold_unref);
    for (guint i = 0; i < 70; i++)
        g_ptr_array_add(holds, space_take(f, "alpha", "web", DLK_MODE_READ_ONLY));
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpuint(holders->len, ==, 65);
    g_assert_null(holder_of(holders, NULL)->host);
    g_assert_true(holder_of(holders, NULL)->confirmed);
    for (guint i = 0; i < holds->len; i++)
        space_give_back(holds->pdata[i]);
    g_autoptr(GPtrArray) left = space_holders(f);
    g_assert_cmpuint(left->len, ==, 0);
}

/* ---- fencing ---- */

static guint
fence(Space *f, const char *host)
{
    guint removed;
    g_autoptr(GError) error = NULL;
    dlk_backend_fence(f->backend, f->target, f->rule, host, &removed, &error);
    g_assert_no_error(error);
    return removed;
}

static void
test_fencing_a_host_that_has_nothing_removes_nothing(Space *f, gconstpointer data)
{
    g_assert_cmpuint(fence(f, "alpha"), ==, 0);
    g_autoptr(DlkHold) hold = space_take(f, "beta", "web02", DLK_MODE_EXCLUSIVE);
    g_assert_cmpuint(fence(f, "alpha"), ==, 0);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
}

static void
test_fencing_the_only_holder_hands_over_and_he_learns_of_it(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) fenced = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_cmpuint(fence(f, "alpha"), ==, 1);
    g_autoptr(DlkHold) next = space_take(f, "beta", "web02", DLK_MODE_EXCLUSIVE);
    space_assert_check(next, DLK_CHECK_HELD, NULL);
    space_assert_check(fenced, DLK_CHECK_LOST, DLK_REASON_LOCK_FILE_GONE);
}

static void
test_fencing_removes_every_hold_of_a_host(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) one = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    g_autoptr(DlkHold) two = space_take(f, "alpha", "web02", DLK_MODE_SHARED);
    g_assert_cmpuint(fence(f, "alpha"), ==, 2);
    g_autoptr(DlkHold) next = space_take(f, "beta", "web03", DLK_MODE_EXCLUSIVE);
}

static void
test_fencing_removes_the_record_of_a_dead_holder(Space *f, gconstpointer data)
{
    die(space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE));
    g_assert_cmpuint(fence(f, "alpha"), ==, 1);
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpuint(holders->len, ==, 0);
    g_assert_true(g_file_test(f->lock_file, G_FILE_TEST_EXISTS));
}

/* One of several who share a file cannot be taken out alone: what to do on the server is said. */
static void
test_fencing_leaves_a_file_that_others_hold_too(Space *f, gconstpointer data)
{
    guint removed = 1;
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkHold) fenced = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    g_autoptr(DlkHold) other = space_take(f, "beta", "web02", DLK_MODE_SHARED);
    g_assert_false(dlk_backend_fence(f->backend, f->target, f->rule, "alpha", &removed, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "than host alpha (by its records node7) too"));
    g_assert_nonnull(strstr(error->message, "grep -E '^(name|address):' /proc/fs/nfsd/clients/*/info"));
    g_assert_nonnull(strstr(error->message, "echo expire > /proc/fs/nfsd/clients/N/ctl"));
    g_assert_cmpuint(removed, ==, 0);
    space_assert_check(other, DLK_CHECK_HELD, NULL);
    space_assert_check(fenced, DLK_CHECK_HELD, NULL);
}

/* Whoever has no record may be the very host: that a record of it went is no success. */
static void
test_fencing_is_not_done_while_somebody_unknown_holds_the_disk(Space *f, gconstpointer data)
{
    guint removed = 0;
    g_autoptr(GError) error = NULL;
    DlkHold *torn = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    die(space_take(f, "alpha", "web02", DLK_MODE_SHARED));
    write_record(f, "disklock-holder 1 host=be", 25);
    g_assert_false(dlk_backend_fence(f->backend, f->target, f->rule, "alpha", &removed, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "or by nobody knows whom"));
    g_assert_cmpuint(removed, ==, 1);
    space_assert_check(torn, DLK_CHECK_HELD, NULL);
    die(torn);
}

/* A lease for which there was no slot is no less one when slots are free again. */
static void
test_fencing_leaves_a_file_that_holders_without_a_slot_have(Space *f, gconstpointer data)
{
    guint removed = 0;
    g_autoptr(GPtrArray) holds = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_hold_unref);
    for (guint i = 0; i < 64; i++)
        g_ptr_array_add(holds, space_take(f, "alpha", "web01", DLK_MODE_SHARED));
    g_autoptr(DlkHold) other = space_take(f, "beta", "web02", DLK_MODE_SHARED);
    g_ptr_array_set_size(holds, 1);
    static const char *const hosts[] = {"alpha", "beta"};
    for (guint i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(dlk_backend_fence(f->backend, f->target, f->rule, hosts[i], &removed, &error));
        g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    }
    space_assert_check(other, DLK_CHECK_HELD, NULL);
    space_give_back(other);
    g_assert_cmpuint(fence(f, "alpha"), ==, 1);
}

static void
test_fencing_waits_for_who_is_just_taking_the_disk(Space *f, gconstpointer data)
{
    guint removed;
    g_autoptr(GError) error = NULL;
    die(space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE));
    dlk_autofd taking = open(f->lock_file, O_RDWR | O_CLOEXEC);
    g_assert_true(dlk_image_locks_set(taking, DLK_BYTE_FENCE, F_RDLCK));
    g_assert_false(dlk_backend_fence(f->backend, f->target, f->rule, "alpha", &removed, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
}

static void
test_nobody_takes_a_disk_while_its_holder_is_being_fenced(Space *f, gconstpointer data)
{
    die(space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE));
    dlk_autofd fencing = open(f->lock_file, O_RDWR | O_CLOEXEC);
    g_assert_true(dlk_image_locks_set(fencing, DLK_BYTE_FENCE, F_WRLCK));
    space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "just being fenced");
}

static void
fence_alpha(Space *f)
{
    g_assert_cmpuint(fence(f, "alpha"), ==, 1);
}

static DlkHold *taken_between;

static void
fence_alpha_and_take(Space *f)
{
    fence_alpha(f);
    taken_between = space_take(f, "gamma", "web03", DLK_MODE_EXCLUSIVE);
}

/* Both have opened the lock file of the dead before either has locked it: the second must not remove what
 * stands there now. */
static void
test_who_fences_after_another_leaves_what_was_taken_between(Space *f, gconstpointer data)
{
    static void (*const meanwhile[])(Space *) = {fence_alpha_and_take, fence_alpha};
    for (guint i = 0; i < G_N_ELEMENTS(meanwhile); i++) {
        guint removed = 1;
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkHold) fenced = space_take(f, "alpha", "web01", DLK_MODE_EXCLUSIVE);
        before_fencing.func = meanwhile[i];
        before_fencing.f = f;
        g_assert_false(dlk_backend_fence(f->backend, f->target, f->rule, "alpha", &removed, &error));
        g_assert_null(before_fencing.func);
        g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
        g_assert_nonnull(strstr(error->message, "has just been fenced by somebody: try again"));
        g_assert_cmpuint(removed, ==, 0);
        if (taken_between == NULL)
            continue;
        space_assert_check(taken_between, DLK_CHECK_HELD, NULL);
        space_assert_refused(f, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "is");
        space_give_back(taken_between);
        g_clear_pointer(&taken_between, dlk_hold_unref);
    }
}

static void
test_a_backend_without_fencing_says_so(void)
{
    guint removed = 1;
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkRule) rule = dlk_rule_new("test");
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_NETWORK, DISK_ID);
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    g_assert_false(dlk_backend_fence(dlk_backends_get("host"), target, rule, "alpha", &removed, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    g_assert_cmpuint(removed, ==, 0);
}

/* A lease whose slot is not the first one, where that is free now. */
static DlkHold *
take_behind_another(Space *f)
{
    g_autoptr(DlkHold) other = space_take(f, "alpha", "web01", DLK_MODE_SHARED);
    DlkHold *hold = space_take(f, "alpha", "web02", DLK_MODE_SHARED);
    space_give_back(other);
    return hold;
}

/* As after a restart, with @fd (taken over) of the earlier run, or -1. */
static DlkHold *
take_up(Space *f, DlkHold *before, int fd)
{
    g_autoptr(GError) error = NULL;
    DlkHold *hold = dlk_hold_new(f->backend, f->target, before->mode, FALSE, 0);
    dlk_hold_set_holder(hold, before->holder);
    die(before);
    g_assert_true(dlk_backend_adopt(f->backend, hold, (int[DLK_HOLD_PARTS]){fd, -1}, f->rule, &error));
    g_assert_no_error(error);
    return hold;
}

static void
assert_one_record(Space *f, const char *owner)
{
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpstr(only_holder(holders)->owner, ==, owner);
    g_assert_true(only_holder(holders)->confirmed);
    dlk_autofd fd = open(f->lock_file, O_RDONLY | O_CLOEXEC);
    g_autoptr(GArray) slots = dlk_holder_slots_read(fd);
    g_assert_cmpuint(slots->len, ==, 1);
}

static void
test_a_lease_that_is_taken_up_has_one_slot(Space *f, gconstpointer data)
{
    DlkHold *before = take_behind_another(f);
    const int kept = fcntl(before->fd, F_DUPFD_CLOEXEC, 0);
    g_autoptr(DlkHold) hold = take_up(f, before, kept);
    assert_one_record(f, "web02");
    space_give_back(hold);
}

static void
test_a_lease_that_is_taken_again_leaves_no_record_of_before(Space *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = take_up(f, take_behind_another(f), -1);
    assert_one_record(f, "web02");
    space_give_back(hold);
}

static void
test_a_lease_that_is_taken_up_leaves_the_slots_of_others(Space *f, gconstpointer data)
{
    DlkHold *before = take_behind_another(f);
    g_autoptr(DlkHold) other = space_take(f, "beta", "web03", DLK_MODE_SHARED);
    const int kept = fcntl(before->fd, F_DUPFD_CLOEXEC, 0);
    g_autoptr(DlkHold) hold = take_up(f, before, kept);
    g_autoptr(GPtrArray) holders = space_holders(f);
    g_assert_cmpuint(holders->len, ==, 2);
    g_assert_true(holder_of(holders, "web02")->confirmed && holder_of(holders, "web03")->confirmed);
}

#define ADD(name) g_test_add("/lockspace/" #name, Space, NULL, space_set_up, test_##name, space_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(a_disk_that_nobody_ever_locked_has_no_holder);
    ADD(a_holder_is_named_and_confirmed);
    ADD(each_of_several_holders_has_a_record);
    ADD(a_record_goes_with_the_release);
    ADD(a_record_follows_the_mode);
    ADD(the_record_of_a_dead_holder_is_unconfirmed_and_refuses_nobody);
    ADD(the_next_holder_overwrites_the_records_of_the_dead);
    ADD(one_dead_holder_among_the_living_is_told_apart);
    ADD(a_forged_record_refuses_nobody_and_is_unconfirmed);
    ADD(a_forged_record_over_a_living_one_grants_nothing);
    ADD(a_torn_record_of_a_living_holder_is_somebody_unknown);
    ADD(a_file_full_of_garbage_names_nobody);
    ADD(more_holders_than_slots_are_let_in_and_not_named);
    ADD(fencing_a_host_that_has_nothing_removes_nothing);
    ADD(fencing_the_only_holder_hands_over_and_he_learns_of_it);
    ADD(fencing_removes_every_hold_of_a_host);
    ADD(fencing_removes_the_record_of_a_dead_holder);
    ADD(fencing_leaves_a_file_that_others_hold_too);
    ADD(fencing_is_not_done_while_somebody_unknown_holds_the_disk);
    ADD(fencing_leaves_a_file_that_holders_without_a_slot_have);
    ADD(a_lease_that_is_taken_up_has_one_slot);
    ADD(a_lease_that_is_taken_again_leaves_no_record_of_before);
    ADD(a_lease_that_is_taken_up_leaves_the_slots_of_others);
    ADD(fencing_waits_for_who_is_just_taking_the_disk);
    ADD(who_fences_after_another_leaves_what_was_taken_between);
    ADD(nobody_takes_a_disk_while_its_holder_is_being_fenced);
    g_test_add_func("/lockspace/a_backend_without_fencing_says_so", test_a_backend_without_fencing_says_so);
    return g_test_run();
}
