#include "model/pr-key.h"
#include "model/pr-state.h"

#define WERO DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS
#define WEAR DLK_PR_WRITE_EXCLUSIVE_ALL
#define STRANGER 0x1234ULL

static guint64
key_of(const char *host, gboolean alone)
{
    return dlk_pr_key_make(host, 7, alone);
}

/* @keys: up to the first 0. */
static DlkPrState *
make_state(DlkPrType type, guint64 holder, const guint64 *keys)
{
    DlkPrState *state = dlk_pr_state_new();
    state->type = type;
    state->holder = holder;
    for (guint i = 0; keys[i] != 0; i++)
        g_array_append_val(state->keys, keys[i]);
    return state;
}

static void
assert_obstacle(DlkPrType type, guint64 holder, const guint64 *keys, guint64 key, DlkPrType wanted,
                DlkPrObstacle expected)
{
    g_autoptr(DlkPrState) state = make_state(type, holder, keys);
    g_assert_cmpint(dlk_pr_state_obstacle(state, key, wanted), ==, expected);
}

static void
assert_loss(DlkPrType type, guint64 holder, const guint64 *keys, guint64 key, DlkPrType held,
            const char *expected)
{
    g_autoptr(DlkPrState) state = make_state(type, holder, keys);
    g_assert_cmpstr(dlk_pr_state_loss(state, key, held), ==, expected);
}

static void
test_a_mode_has_a_type_that_does_not_bind_to_a_path(void)
{
    g_assert_cmpint(dlk_pr_type_for(DLK_MODE_EXCLUSIVE, FALSE), ==, WERO);
    g_assert_cmpint(dlk_pr_type_for(DLK_MODE_EXCLUSIVE, TRUE), ==, DLK_PR_EXCLUSIVE_ACCESS_REGISTRANTS);
    g_assert_cmpint(dlk_pr_type_for(DLK_MODE_SHARED, FALSE), ==, WEAR);
    g_assert_cmpint(dlk_pr_type_for(DLK_MODE_SHARED, TRUE), ==, DLK_PR_EXCLUSIVE_ACCESS_ALL);
    g_assert_cmpint(dlk_pr_type_for(DLK_MODE_READ_ONLY, FALSE), ==, DLK_PR_NONE);
}

static void
test_types_are_known_by_the_numbers_of_scsi(void)
{
    static const guint8 numbers[] = {0, 1, 3, 5, 6, 7, 8};
    for (guint type = 1; type < DLK_PR_N_TYPES; type++)
        g_assert_cmpint(dlk_pr_type_from_scsi(numbers[type]), ==, type);
    g_assert_cmpint(dlk_pr_type_from_scsi(2), ==, DLK_PR_NONE);
    g_assert_cmpint(dlk_pr_type_from_scsi(0), ==, DLK_PR_NONE);
}

static void
test_nobody_is_in_the_way_of_a_disk_that_nobody_has(void)
{
    const guint64 none[] = {0};
    assert_obstacle(DLK_PR_NONE, 0, none, key_of("a", TRUE), WERO, DLK_PR_OBSTACLE_NONE);
    assert_obstacle(DLK_PR_NONE, 0, none, key_of("a", FALSE), WEAR, DLK_PR_OBSTACLE_NONE);
}

static void
test_another_host_is_in_the_way_of_an_exclusive_lease_even_if_it_has_reserved_nothing(void)
{
    const guint64 keys[] = {key_of("b", FALSE), 0};
    assert_obstacle(DLK_PR_NONE, 0, keys, key_of("a", TRUE), WERO, DLK_PR_OBSTACLE_HOST);
    assert_obstacle(WEAR, 0, keys, key_of("a", TRUE), WERO, DLK_PR_OBSTACLE_HOST);
}

static void
test_hosts_that_share_are_not_in_each_others_way(void)
{
    const guint64 keys[] = {key_of("b", FALSE), key_of("c", FALSE), 0};
    assert_obstacle(WEAR, 0, keys, key_of("a", FALSE), WEAR, DLK_PR_OBSTACLE_NONE);
}

static void
test_a_host_that_wants_it_alone_is_in_the_way_of_one_that_would_join(void)
{
    const guint64 keys[] = {key_of("b", TRUE), 0};
    assert_obstacle(WERO, keys[0], keys, key_of("a", FALSE), WEAR, DLK_PR_OBSTACLE_HOST);
    /* About to change from shared to exclusive. */
    assert_obstacle(WEAR, 0, keys, key_of("a", FALSE), WEAR, DLK_PR_OBSTACLE_HOST);
}

static void
test_another_type_is_in_the_way(void)
{
    const guint64 keys[] = {key_of("b", FALSE), 0};
    assert_obstacle(DLK_PR_EXCLUSIVE_ACCESS_ALL, 0, keys, key_of("a", FALSE), WEAR, DLK_PR_OBSTACLE_HOST);
}

static void
test_a_stranger_is_in_everybodys_way(void)
{
    const guint64 keys[] = {key_of("b", FALSE), STRANGER, 0};
    assert_obstacle(WEAR, 0, keys, key_of("a", FALSE), WEAR, DLK_PR_OBSTACLE_STRANGER);
    assert_obstacle(DLK_PR_NONE, 0, keys, key_of("a", TRUE), WERO, DLK_PR_OBSTACLE_STRANGER);
}

static void
test_what_an_earlier_life_has_left_is_not_in_the_way(void)
{
    const guint64 keys[] = {dlk_pr_key_make("a", 6, TRUE), 0};
    assert_obstacle(WERO, keys[0], keys, key_of("a", TRUE), WERO, DLK_PR_OBSTACLE_NONE);
    assert_obstacle(WERO, keys[0], keys, key_of("a", FALSE), WEAR, DLK_PR_OBSTACLE_NONE);
}

static void
test_what_was_reserved_is_held(void)
{
    const guint64 a = key_of("a", TRUE), shared = key_of("a", FALSE);
    const guint64 alone[] = {a, a, 0}, together[] = {key_of("b", FALSE), shared, 0};
    assert_loss(WERO, a, alone, a, WERO, NULL);
    assert_loss(WEAR, 0, together, shared, WEAR, NULL);
}

static void
test_a_loss_is_told_by_its_reason(void)
{
    const guint64 a = key_of("a", TRUE), b = key_of("b", TRUE);
    const guint64 none[] = {0}, only_a[] = {a, 0}, only_b[] = {b, 0}, both[] = {a, b, 0};
    assert_loss(DLK_PR_NONE, 0, none, a, WERO, DLK_PR_LOSS_KEY);
    assert_loss(WERO, b, only_b, a, WERO, DLK_PR_LOSS_PREEMPTED);
    assert_loss(DLK_PR_NONE, 0, only_a, a, WERO, DLK_PR_LOSS_RESERVATION);
    assert_loss(WERO, b, both, a, WERO, DLK_PR_LOSS_PREEMPTED);
    assert_loss(WEAR, 0, only_a, a, WERO, DLK_PR_LOSS_PREEMPTED);
    assert_loss(WERO, a, both, a, WERO, DLK_PR_LOSS_FOREIGN_KEY);
}

static void
test_a_stranger_that_joins_those_who_share_is_a_loss(void)
{
    const guint64 a = key_of("a", FALSE);
    const guint64 keys[] = {a, STRANGER, 0};
    assert_loss(WEAR, 0, keys, a, WEAR, DLK_PR_LOSS_FOREIGN_KEY);
}

static void
test_a_path_with_the_key_of_before_a_conversion_is_the_same_hosts(void)
{
    const guint64 a = key_of("a", TRUE), shared = key_of("a", FALSE);
    const guint64 keys[] = {a, shared, 0};
    assert_loss(WERO, a, keys, a, WERO, NULL);
    assert_loss(WERO, shared, keys, a, WERO, NULL);
    g_autoptr(DlkPrState) state = make_state(WERO, a, keys);
    g_assert_cmpuint(dlk_pr_state_count(state, a), ==, 2);
    g_assert_cmpuint(dlk_pr_state_count(state, dlk_pr_key_make("a", 8, TRUE)), ==, 0);
}

static void
test_who_is_alone_by_his_key_is_so_whatever_the_type(void)
{
    const guint64 a = key_of("a", TRUE);
    const guint64 both[] = {a, key_of("b", FALSE), 0}, only_b[] = {key_of("b", FALSE), 0};
    assert_loss(WEAR, 0, both, a, WEAR, DLK_PR_LOSS_FOREIGN_KEY);
    assert_obstacle(WEAR, 0, only_b, a, WEAR, DLK_PR_OBSTACLE_HOST);
}

static void
test_keys_of_others_are_named_once(void)
{
    const guint64 keys[] = {key_of("a", TRUE), STRANGER, STRANGER, 0xabcULL, 0};
    g_autoptr(DlkPrState) state = make_state(DLK_PR_NONE, 0, keys);
    g_autofree char *text = dlk_pr_state_describe_others(state, key_of("a", FALSE));
    g_assert_cmpstr(text, ==, "0x0000000000001234, 0x0000000000000abc");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pr-state/a-mode-has-a-type-that-does-not-bind-to-a-path",
                    test_a_mode_has_a_type_that_does_not_bind_to_a_path);
    g_test_add_func("/pr-state/types-lead-to-the-numbers-of-scsi-and-back",
                    test_types_are_known_by_the_numbers_of_scsi);
    g_test_add_func("/pr-state/nobody-is-in-the-way-of-a-disk-that-nobody-has",
                    test_nobody_is_in_the_way_of_a_disk_that_nobody_has);
    g_test_add_func(
        "/pr-state/another-host-is-in-the-way-of-an-exclusive-lease-even-if-it-has-reserved-nothing",
        test_another_host_is_in_the_way_of_an_exclusive_lease_even_if_it_has_reserved_nothing);
    g_test_add_func("/pr-state/hosts-that-share-are-not-in-each-others-way",
                    test_hosts_that_share_are_not_in_each_others_way);
    g_test_add_func("/pr-state/a-host-that-wants-it-alone-is-in-the-way-of-one-that-would-join",
                    test_a_host_that_wants_it_alone_is_in_the_way_of_one_that_would_join);
    g_test_add_func("/pr-state/another-type-is-in-the-way", test_another_type_is_in_the_way);
    g_test_add_func("/pr-state/a-stranger-is-in-everybodys-way", test_a_stranger_is_in_everybodys_way);
    g_test_add_func("/pr-state/what-an-earlier-life-has-left-is-not-in-the-way",
                    test_what_an_earlier_life_has_left_is_not_in_the_way);
    g_test_add_func("/pr-state/what-was-reserved-is-held", test_what_was_reserved_is_held);
    g_test_add_func("/pr-state/a-loss-is-told-by-its-reason", test_a_loss_is_told_by_its_reason);
    g_test_add_func("/pr-state/a-stranger-that-joins-those-who-share-is-a-loss",
                    test_a_stranger_that_joins_those_who_share_is_a_loss);
    g_test_add_func("/pr-state/a-path-with-the-key-of-before-a-conversion-is-the-same-hosts",
                    test_a_path_with_the_key_of_before_a_conversion_is_the_same_hosts);
    g_test_add_func("/pr-state/who-is-alone-by-his-key-is-so-whatever-the-type",
                    test_who_is_alone_by_his_key_is_so_whatever_the_type);
    g_test_add_func("/pr-state/keys-of-others-are-named-once", test_keys_of_others_are_named_once);
    return g_test_run();
}
