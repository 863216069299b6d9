#include "backend/fake.h"
#include "backend/reach.h"
#include "lockspace-fixture.h"
#include "mounts-fixture.h"

#include <string.h>
#include <sys/stat.h>

/* Two backends for one disk: the fake one, which does as it is told, and a lockspace. */
typedef struct {
    Space space;
    DlkFakeBackend *fake;
} Pair;

static DlkFakeBackend *
only_fake(void)
{
    static DlkFakeBackend *fake;
    if (fake == NULL) {
        fake = dlk_fake_backend_new();
        dlk_backends_add(DLK_BACKEND(fake));
    }
    return fake;
}

static void
pair_set_up(Pair *self, gconstpointer name)
{
    space_set_up(&self->space, NULL);
    self->fake = only_fake();
    self->space.backend = dlk_backends_get(name);
    g_assert_nonnull(self->space.backend);
}

static void
pair_tear_down(Pair *self, gconstpointer name)
{
    dlk_fake_backend_set_writers_only(self->fake, FALSE);
    dlk_fake_backend_reset(self->fake);
    g_assert_cmpuint(dlk_fake_backend_held_in_all(self->fake), ==, 0);
    space_tear_down(&self->space, NULL);
}

/* Does the lockspace hold the disk, whatever the other part does? */
static gboolean
lockspace_holds(Pair *f)
{
    DlkBackend *pair = f->space.backend;
    g_autoptr(GError) error = NULL;
    f->space.backend = dlk_backends_get("lockspace");
    g_autoptr(DlkHold) hold = space_try(&f->space, "gamma", "witness", DLK_MODE_EXCLUSIVE, &error);
    f->space.backend = pair;
    if (hold != NULL)
        space_give_back(hold);
    else
        g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    return hold == NULL;
}

static void
assert_held(Pair *f, guint by_fake, gboolean by_lockspace)
{
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, by_fake);
    g_assert_cmpint(lockspace_holds(f), ==, by_lockspace);
}

static void
test_both_hold_and_both_give_back(Pair *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_cmpstr(dlk_backend_name(hold->backend), ==, data);
    assert_held(f, 1, TRUE);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    space_give_back(hold);
    assert_held(f, 0, FALSE);
}

static void
test_a_second_that_refuses_gives_back_the_first(Pair *f, gconstpointer data)
{
    DlkBackend *pair = f->space.backend;
    f->space.backend = dlk_backends_get("lockspace");
    g_autoptr(DlkHold) other = space_take(&f->space, "beta", "web02", DLK_MODE_EXCLUSIVE);
    f->space.backend = pair;
    space_assert_refused(&f->space, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "image");
    g_assert_cmpuint(dlk_fake_backend_held_in_all(f->fake), ==, 0);
    space_give_back(other);
}

static void
test_a_rule_may_refuse_that_the_loss_of_one_part_is_not_seen(Pair *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Space *space = &f->space;
    mounted_options = "local_lock=none";
    g_assert_true(dlk_reach_suffices(space->backend, space->target, space->rule, NULL));
    space->rule->refuse_unseen_loss = TRUE;
    g_assert_false(dlk_reach_suffices(space->backend, space->target, space->rule, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_UNSUPPORTED);
    mounted_options = NULL;
}

static void
test_a_fake_that_refuses_leaves_nothing_locked(Pair *f, gconstpointer data)
{
    dlk_fake_backend_busy(f->fake, 1);
    space_assert_refused(&f->space, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "another host");
    assert_held(f, 0, FALSE);
}

static void
test_either_that_loses_its_lock_loses_the_lease(Pair *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    dlk_fake_backend_answer(f->fake, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "silence");
    space_assert_check(hold, DLK_CHECK_UNKNOWN, "silence");
    g_assert_cmpint(g_unlink(f->space.lock_file), ==, 0);
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_FILE_GONE);
    dlk_fake_backend_answer(f->fake, DLK_CHECK_UNKNOWN, "silence");
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_FILE_GONE); /* the worse counts */
    space_give_back(hold);
}

static void
test_both_are_converted(Pair *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_SHARED);
    g_autoptr(DlkHold) other = space_take(&f->space, "beta", "web02", DLK_MODE_SHARED);
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    g_assert_cmpint((gint)hold->mode, ==, (gint)DLK_MODE_SHARED);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    space_give_back(other);
    g_assert_true(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    space_assert_refused(&f->space, DLK_MODE_SHARED, DLK_ERROR_BUSY, "image");
    space_give_back(hold);
}

/* As of SCSI, whose key says too whether it has the disk alone. */
static void
test_a_record_follows_the_key_of_the_other_part(Pair *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_SHARED);
    const gboolean first = DLK_BACKEND_GET_CLASS(hold->parts[0]->backend)->record == NULL;
    DlkHold *other = hold->parts[first ? 0 : 1], *recorded = hold->parts[first ? 1 : 0];
    other->key = 0x11;
    g_assert_true(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    g_assert_cmphex(recorded->key, ==, 0x11);
    other->key = 0x22;
    g_assert_true(dlk_backend_convert(hold->backend, hold, DLK_MODE_SHARED, NULL));
    g_assert_cmphex(recorded->key, ==, 0x22);
    space_give_back(hold);
}

static void
test_a_lock_that_has_the_mode_already_is_looked_at_all_the_same(Pair *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_autoptr(GError) error = NULL;
    dlk_fake_backend_answer(f->fake, DLK_CHECK_LOST, DLK_REASON_LOCK_TAKEN);
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_LEASE_LOST);
    g_assert_true(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    space_give_back(hold);
}

static void
test_a_conversion_that_fails_in_the_middle_is_undone(Pair *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_SHARED);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_CONVERT, DLK_ERROR_BACKEND_FAILED, "no");
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    g_autoptr(DlkHold) other = space_take(&f->space, "beta", "web02", DLK_MODE_SHARED);
    space_give_back(other);
    space_give_back(hold);
}

/* The lock is given up and taken again by the same hold, as a suspended lease does. */
static void
test_what_was_given_back_is_taken_again(Pair *f, gconstpointer data)
{
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    space_give_back(hold);
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_NOT_LOCKED);
    g_assert_true(dlk_backend_acquire(hold->backend, hold, f->space.rule, NULL));
    assert_held(f, 1, TRUE);
    space_give_back(hold);
    assert_held(f, 0, FALSE);
}

/* ---- a part that has no read-only leases, as the backend scsi ---- */

static void
test_readers_are_kept_by_the_part_that_can(Pair *f, gconstpointer data)
{
    dlk_fake_backend_set_writers_only(f->fake, TRUE);
    g_autoptr(DlkHold) reader = space_take(&f->space, "alpha", "web01", DLK_MODE_READ_ONLY);
    assert_held(f, 0, TRUE);
    space_assert_check(reader, DLK_CHECK_HELD, NULL);
    g_autoptr(DlkHold) other = space_take(&f->space, "beta", "web02", DLK_MODE_READ_ONLY);
    space_assert_refused(&f->space, DLK_MODE_EXCLUSIVE, DLK_ERROR_BUSY, "image");
    space_give_back(other);
    space_give_back(reader);
    assert_held(f, 0, FALSE);
}

static void
test_a_reader_that_becomes_a_writer_takes_both(Pair *f, gconstpointer data)
{
    dlk_fake_backend_set_writers_only(f->fake, TRUE);
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_READ_ONLY);
    dlk_fake_backend_busy(f->fake, 1);
    g_assert_false(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    assert_held(f, 0, TRUE);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    g_autoptr(DlkHold) other = space_take(&f->space, "beta", "web02", DLK_MODE_READ_ONLY);
    space_give_back(other); /* it went back to read-only */
    g_assert_true(dlk_backend_convert(hold->backend, hold, DLK_MODE_EXCLUSIVE, NULL));
    assert_held(f, 1, TRUE);
    g_assert_true(dlk_backend_convert(hold->backend, hold, DLK_MODE_READ_ONLY, NULL));
    assert_held(f, 0, TRUE);
    space_give_back(hold);
    assert_held(f, 0, FALSE);
}

/* ---- over the end of the process ---- */

/* The process that had this lease dies; @fds: copies of its descriptors, which outlive it. */
static void
take_and_die(Pair *f, int fds[DLK_HOLD_PARTS])
{
    DlkHold *dead = space_take(&f->space, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_assert_cmpuint(dlk_hold_fds(dead, fds), ==, DLK_HOLD_PARTS);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        fds[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    dlk_fake_backend_die(f->fake);
    dlk_hold_unref(dead);
    g_assert_true(lockspace_holds(f)); /* the copy keeps it */
}

static DlkHold *
hold_for(Pair *f)
{
    return dlk_hold_new(f->space.backend, f->space.target, DLK_MODE_EXCLUSIVE, FALSE, 0);
}

static void
test_adoption_takes_both(Pair *f, gconstpointer data)
{
    int fds[DLK_HOLD_PARTS];
    take_and_die(f, fds);
    g_autoptr(DlkHold) hold = hold_for(f);
    g_assert_true(dlk_backend_adopt(f->space.backend, hold, fds, f->space.rule, NULL));
    assert_held(f, 1, TRUE);
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    space_give_back(hold);
    assert_held(f, 0, FALSE);
}

/* Whoever runs on the lease is stopped first: until then nobody else may have the disk. */
static void
test_a_part_that_was_lost_leaves_the_other_locked(Pair *f, gconstpointer data)
{
    int fds[DLK_HOLD_PARTS];
    take_and_die(f, fds);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_ADOPT, DLK_ERROR_LEASE_LOST, "gone");
    g_autoptr(DlkHold) hold = hold_for(f);
    g_assert_true(dlk_backend_adopt(f->space.backend, hold, fds, f->space.rule, NULL));
    assert_held(f, 0, TRUE);
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_NOT_LOCKED);
    assert_held(f, 0, TRUE);
    space_give_back(hold);
    assert_held(f, 0, FALSE);
}

static void
test_a_part_that_does_not_answer_costs_the_other_nothing(Pair *f, gconstpointer data)
{
    int fds[DLK_HOLD_PARTS], again[DLK_HOLD_PARTS];
    take_and_die(f, fds);
    for (guint i = 0; i < DLK_HOLD_PARTS; i++)
        again[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
    dlk_fake_backend_fail(f->fake, DLK_FAKE_ADOPT, DLK_ERROR_BACKEND_FAILED, "no answer");
    g_autoptr(DlkHold) hold = hold_for(f);
    g_assert_false(dlk_backend_adopt(f->space.backend, hold, fds, f->space.rule, NULL));
    g_clear_pointer(&hold, dlk_hold_unref);
    g_assert_true(lockspace_holds(f));

    hold = hold_for(f);
    g_assert_true(dlk_backend_adopt(f->space.backend, hold, again, f->space.rule, NULL));
    space_assert_check(hold, DLK_CHECK_HELD, NULL);
    space_give_back(hold);
}

/* ---- others ---- */

static void
test_holders_and_fencing_are_those_of_both(Pair *f, gconstpointer data)
{
    guint removed;
    g_autoptr(DlkHold) hold = space_take(&f->space, "alpha", "web01", DLK_MODE_EXCLUSIVE);
    g_autoptr(DlkHolder) registered = dlk_holder_new(DLK_MODE_EXCLUSIVE);
    registered->host = g_ref_string_new("alpha");
    dlk_fake_backend_add_holder(f->fake, registered);
    g_autoptr(GPtrArray) holders = space_holders(&f->space);
    g_assert_cmpuint(holders->len, ==, 2);
    g_assert_true(
        dlk_backend_fence(f->space.backend, f->space.target, f->space.rule, "alpha", &removed, NULL));
    g_assert_cmpuint(removed, ==, 2);
    space_assert_check(hold, DLK_CHECK_LOST, DLK_REASON_LOCK_FILE_GONE);
    space_give_back(hold);
}

static void
test_names_that_are_no_pair(void)
{
    g_assert_null(dlk_backends_get("lockspace+lockspace"));
    g_assert_null(dlk_backends_get("lockspace+host+fcntl"));
    g_assert_null(dlk_backends_get("lockspace+"));
    g_assert_null(dlk_backends_get("+"));
    g_assert_true(dlk_backends_get("lockspace+host") == dlk_backends_get("lockspace+host"));
    g_assert_true(dlk_backends_get("lockspace+host") != dlk_backends_get("host+lockspace"));
}

#define ADD(name)                                                                                            \
    g_test_add("/combined/" #name, Pair, "fake+lockspace", pair_set_up, test_##name, pair_tear_down);        \
    g_test_add("/combined/other-order/" #name, Pair, "lockspace+fake", pair_set_up, test_##name,             \
               pair_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    only_fake();
    ADD(both_hold_and_both_give_back);
    ADD(a_second_that_refuses_gives_back_the_first);
    ADD(a_rule_may_refuse_that_the_loss_of_one_part_is_not_seen);
    ADD(a_fake_that_refuses_leaves_nothing_locked);
    ADD(either_that_loses_its_lock_loses_the_lease);
    ADD(both_are_converted);
    ADD(a_record_follows_the_key_of_the_other_part);
    ADD(a_lock_that_has_the_mode_already_is_looked_at_all_the_same);
    ADD(a_conversion_that_fails_in_the_middle_is_undone);
    ADD(what_was_given_back_is_taken_again);
    ADD(readers_are_kept_by_the_part_that_can);
    ADD(a_reader_that_becomes_a_writer_takes_both);
    ADD(adoption_takes_both);
    ADD(a_part_that_was_lost_leaves_the_other_locked);
    ADD(a_part_that_does_not_answer_costs_the_other_nothing);
    ADD(holders_and_fencing_are_those_of_both);
    g_test_add_func("/combined/names_that_are_no_pair", test_names_that_are_no_pair);
    return g_test_run();
}
