#include "base/error.h"
#include "model/nvme-report.h"

/* Two hosts by three controllers, as a namespace tells them in the format with host ids of 128 bits. */
static void
make_extended(guint8 *data, guint8 type)
{
    static const struct {
        guint8 host, key, holds;
    } registrants[] = {{1, 0xa, 1}, {2, 0xb, 0}, {1, 0xa, 1}};
    for (guint i = 0; i < 256; i++)
        data[i] = 0;
    data[0] = 7;
    data[4] = type;
    data[5] = 3;
    for (guint i = 0; i < 3; i++) {
        guint8 *registrant = data + 64 + (gsize)i * 64;
        registrant[2] = registrants[i].holds;
        registrant[8] = registrants[i].key;
        registrant[15] = 0x64;
        registrant[31] = registrants[i].host;
    }
}

static DlkPrState *
read_report(const guint8 *data, gsize length, gboolean extended, gsize *needed)
{
    g_autoptr(GError) error = NULL;
    DlkPrState *state = dlk_pr_state_new();
    g_assert_true(dlk_nvme_report_read(data, length, extended, state, needed, &error));
    g_assert_no_error(error);
    return state;
}

static void
assert_refused(const guint8 *data, gsize length)
{
    gsize needed = 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPrState) state = dlk_pr_state_new();
    g_assert_false(dlk_nvme_report_read(data, length, TRUE, state, &needed, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
}

static void
test_a_host_by_two_controllers_is_one_registrant(void)
{
    guint8 data[256];
    gsize needed = 0;
    make_extended(data, DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    g_autoptr(DlkPrState) state = read_report(data, sizeof data, TRUE, &needed);
    g_assert_cmpuint(needed, ==, sizeof data);
    g_assert_cmpuint(state->generation, ==, 7);
    g_assert_cmpuint(state->keys->len, ==, 2);
    g_assert_cmphex(g_array_index(state->keys, guint64, 0), ==, 0x640000000000000a);
    g_assert_cmphex(g_array_index(state->keys, guint64, 1), ==, 0x640000000000000b);
    g_assert_cmpint(state->type, ==, DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    g_assert_cmphex(state->holder, ==, 0x640000000000000a);
}

static void
test_a_reservation_of_all_has_no_holder(void)
{
    guint8 data[256];
    gsize needed = 0;
    make_extended(data, DLK_PR_WRITE_EXCLUSIVE_ALL);
    g_autoptr(DlkPrState) state = read_report(data, sizeof data, TRUE, &needed);
    g_assert_cmphex(state->holder, ==, 0);
}

static void
test_host_ids_of_64_bits_are_read_from_the_other_format(void)
{
    static const guint8 data[] = {9, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,
                                  0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0,    0,
                                  9, 9, 9, 9, 9, 9, 9, 9, 5, 0, 0, 0, 0, 0, 0x6c, 0x64};
    gsize needed = 0;
    g_autoptr(DlkPrState) state = read_report(data, sizeof data, FALSE, &needed);
    g_assert_cmpuint(needed, ==, sizeof data);
    g_assert_cmpuint(state->keys->len, ==, 1);
    g_assert_cmphex(state->holder, ==, 0x646c000000000005);
}

static void
test_an_answer_that_is_cut_short_says_how_long_it_is(void)
{
    guint8 data[256];
    make_extended(data, DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    for (gsize length = DLK_NVME_REPORT_HEADER; length < sizeof data; length++) {
        gsize needed = 0;
        g_autofree guint8 *part = g_memdup2(data, length);
        g_autoptr(DlkPrState) state = read_report(part, length, TRUE, &needed);
        g_assert_cmpuint(needed, ==, sizeof data);
        g_assert_cmpuint(state->keys->len, <=, (length - 64) / 64);
    }
}

static void
test_nonsense_is_refused(void)
{
    guint8 data[256];
    make_extended(data, DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    assert_refused(data, DLK_NVME_REPORT_HEADER - 1);
    data[4] = DLK_PR_N_TYPES;
    assert_refused(data, sizeof data);
    make_extended(data, DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    data[64 + 2] = data[192 + 2] = 0;
    assert_refused(data, sizeof data); /* reserved, and by nobody */
}

static void
test_a_namespace_says_what_types_it_has(void)
{
    guint8 namespace[32] = {[31] = 0x01 | 1U << DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS};
    g_assert_cmpuint(dlk_nvme_namespace_types(namespace, sizeof namespace), ==,
                     1U << DLK_PR_WRITE_EXCLUSIVE_REGISTRANTS);
    g_assert_cmpuint(dlk_nvme_namespace_types(namespace, 31), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nvme-report/a-host-by-two-controllers-is-one-registrant",
                    test_a_host_by_two_controllers_is_one_registrant);
    g_test_add_func("/nvme-report/a-reservation-of-all-has-no-holder",
                    test_a_reservation_of_all_has_no_holder);
    g_test_add_func("/nvme-report/host-ids-of-64-bits-are-read-from-the-other-format",
                    test_host_ids_of_64_bits_are_read_from_the_other_format);
    g_test_add_func("/nvme-report/an-answer-that-is-cut-short-says-how-long-it-is",
                    test_an_answer_that_is_cut_short_says_how_long_it_is);
    g_test_add_func("/nvme-report/nonsense-is-refused", test_nonsense_is_refused);
    g_test_add_func("/nvme-report/a-namespace-says-what-types-it-has",
                    test_a_namespace_says_what_types_it_has);
    return g_test_run();
}
