#include "model/scsi-sense.h"

static void
assert_sense(const guint8 *data, gsize length, guint key, guint code, guint qualifier)
{
    DlkScsiSense sense = {0};
    g_assert_true(dlk_scsi_sense_read(data, length, &sense));
    g_assert_cmphex(sense.key, ==, key);
    g_assert_cmphex(sense.code, ==, code);
    g_assert_cmphex(sense.qualifier, ==, qualifier);
}

static void
test_fixed_sense_is_read(void)
{
    const guint8 data[18] = {0xf0, 0, 0x06, [7] = 10, [12] = 0x2a, [13] = 0x03};
    assert_sense(data, sizeof data, DLK_SENSE_UNIT_ATTENTION, 0x2a, 0x03);
}

static void
test_descriptor_sense_is_read(void)
{
    const guint8 data[8] = {0x72, 0x05, 0x24, 0x00};
    assert_sense(data, sizeof data, DLK_SENSE_ILLEGAL_REQUEST, DLK_ASC_INVALID_FIELD, 0);
}

static void
test_sense_cut_short_says_what_is_there(void)
{
    const guint8 data[3] = {0x70, 0, 0x02};
    assert_sense(data, sizeof data, DLK_SENSE_NOT_READY, 0, 0);
}

static void
test_no_sense_is_none(void)
{
    const guint8 none[1] = {0}, other[8] = {0x7f, 5, 0x24}, half[2] = {0x70, 0};
    DlkScsiSense sense = {0};
    g_assert_false(dlk_scsi_sense_read(none, 0, &sense));
    g_assert_false(dlk_scsi_sense_read(other, sizeof other, &sense));
    g_assert_false(dlk_scsi_sense_read(half, sizeof half, &sense));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scsi-sense/fixed-sense-is-read", test_fixed_sense_is_read);
    g_test_add_func("/scsi-sense/descriptor-sense-is-read", test_descriptor_sense_is_read);
    g_test_add_func("/scsi-sense/sense-cut-short-says-what-is-there",
                    test_sense_cut_short_says_what_is_there);
    g_test_add_func("/scsi-sense/no-sense-is-none", test_no_sense_is_none);
    return g_test_run();
}
