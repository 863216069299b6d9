#include "domain-fixture.h"

#define FILE_DISK "type='file' device='disk'"

static void
test_an_image_without_chain_in_the_xml_is_followed(void)
{
    static const char *const formats[] = {"qcow2", "qcow", "qed", "vmdk"};
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        const gboolean has_data = g_str_equal(formats[i], "qcow2") || g_str_equal(formats[i], "vmdk");
        g_autofree char *content = g_strdup_printf("<driver type='%s'/><source file='/a'/>", formats[i]);
        g_autofree char *expected =
            g_strdup_printf("exclusive /a %s chain%s (disk vda)\n", formats[i], has_data ? " data" : "");
        assert_disk(FILE_DISK, content, expected);
    }
}

static void
test_other_formats_are_never_followed(void)
{
    assert_disk(FILE_DISK, "<driver type='raw'/><source file='/a'/>", "exclusive /a raw (disk vda)\n");
    assert_disk(FILE_DISK, "<source file='/a'/>", "exclusive /a raw (disk vda)\n");
    assert_disk(FILE_DISK, "<driver name='tap' type='aio'/><source file='/a'/>",
                "exclusive /a raw (disk vda)\n");
    assert_disk(FILE_DISK, "<driver type='vdi'/><source file='/a'/>", "exclusive /a vdi (disk vda)\n");
}

static void
test_a_network_image_is_never_followed(void)
{
    assert_disk("type='network'",
                "<driver type='qcow2'/><source protocol='nbd' name='e'><host name='h'/></source>",
                "exclusive nbd://h:10809/e qcow2 (disk vda)\n");
}

#define BACKING(name, content)                                                                               \
    "<backingStore type='file'><format type='qcow2'/><source file='" name "'/>" content "</backingStore>"

static void
test_the_whole_chain_is_read_only(void)
{
    assert_disk(
        FILE_DISK,
        "<driver type='qcow2'/><source file='/top'/>" BACKING("/middle", BACKING("/base", "<backingStore/>")),
        "exclusive /top qcow2 data (disk vda)\n"
        "read-only /middle qcow2 data (backing file 1 of disk vda)\n"
        "read-only /base qcow2 data (backing file 2 of disk vda)\n");
}

static void
test_an_unfinished_chain_is_followed_from_its_last_image(void)
{
    assert_disk(FILE_DISK, "<driver type='qcow2'/><source file='/top'/>" BACKING("/base", ""),
                "exclusive /top qcow2 data (disk vda)\n"
                "read-only /base qcow2 chain data (backing file 1 of disk vda)\n");
}

static void
test_a_backing_file_without_format_is_unknown(void)
{
    assert_disk(FILE_DISK,
                "<driver type='qcow2'/><source file='/top'/>"
                "<backingStore type='file'><source file='/base'/></backingStore>",
                "exclusive /top qcow2 data (disk vda)\n"
                "read-only /base ? chain data (backing file 1 of disk vda)\n");
}

static void
test_an_empty_backing_store_ends_the_chain(void)
{
    assert_disk(FILE_DISK, "<driver type='qcow2'/><source file='/top'/><backingStore/>",
                "exclusive /top qcow2 data (disk vda)\n");
}

static void
test_backing_files_may_be_elsewhere(void)
{
    assert_disk(FILE_DISK,
                "<driver type='qcow2'/><source file='/top'/><backingStore type='network'><format type='raw'/>"
                "<source protocol='https' name='/base.img'><host name='example.org'/></source><backingStore/>"
                "</backingStore>",
                "exclusive /top qcow2 data (disk vda)\n"
                "read-only https://example.org:443/base.img raw (backing file 1 of disk vda)\n");
}

static void
test_a_chain_that_names_itself_twice_is_refused(void)
{
    assert_disk(FILE_DISK,
                "<driver type='qcow2'/><source file='/top'/>" BACKING("/base", BACKING("//./top", "")),
                "error: line 3: backing file 2 of disk vda: //./top is in the chain of disk vda twice\n");
}

static void
test_two_disks_may_share_a_base(void)
{
    assert_devices(
        "<disk type='file'><driver type='qcow2'/><source file='/a'/>" BACKING(
            "/base", "<backingStore/>") "<target dev='vda'/></disk>"
                                        "<disk type='file'><driver type='qcow2'/><source file='/b'/>" BACKING(
                                            "/base", "<backingStore/>") "</disk>",
        "exclusive /a qcow2 data (disk vda)\n"
        "read-only /base qcow2 data (backing file 1 of disk vda)\n"
        "exclusive /b qcow2 data (disk 2)\n"
        "read-only /base qcow2 data (backing file 1 of disk 2)\n");
}

#define STORE(path) "<dataStore type='file'><format type='raw'/><source file='" path "'/></dataStore>"

static void
test_a_data_store_is_taken_as_its_image_is(void)
{
    assert_disk(FILE_DISK,
                "<driver type='qcow2'/><source file='/top'>" STORE(
                    "/top.raw") "</source><shareable/>"
                                "<backingStore type='file'><format type='qcow2'/><source file='/base'>" STORE(
                                    "/base.raw") "</source>"
                                                 "<backingStore/></backingStore>",
                "shared /top qcow2 (disk vda)\n"
                "shared /top.raw raw (data store of disk vda)\n"
                "read-only /base qcow2 (backing file 1 of disk vda)\n"
                "read-only /base.raw raw (data store of backing file 1 of disk vda)\n");
}

static void
test_the_mirror_of_a_block_copy_is_exclusive(void)
{
    assert_disk(FILE_DISK,
                "<driver type='raw'/><source file='/a'/><mirror type='block' job='copy' ready='yes'>"
                "<format type='raw'/><source dev='/dev/vg/copy'/></mirror>",
                "exclusive /a raw (disk vda)\nexclusive /dev/vg/copy raw (mirror of disk vda)\n");
    assert_disk(FILE_DISK, "<source file='/a'/><mirror file='/old' format='raw' job='copy'/>",
                "exclusive /a raw (disk vda)\nexclusive /old raw (mirror of disk vda)\n");
}

static void
test_the_mirror_brings_its_own_chain(void)
{
    assert_disk(
        FILE_DISK,
        "<driver type='qcow2'/><source file='/a'/>" BACKING(
            "/base", "<backingStore/>") "<mirror type='file' job='copy'><format type='qcow2'/><source "
                                        "file='/copy'/>" BACKING("/base", "<backingStore/>") "</mirror>",
        "exclusive /a qcow2 data (disk vda)\n"
        "read-only /base qcow2 data (backing file 1 of disk vda)\n"
        "exclusive /copy qcow2 data (mirror of disk vda)\n"
        "read-only /base qcow2 data (backing file 1 of mirror of disk vda)\n");
}

static void
test_an_active_commit_writes_to_the_backing_file(void)
{
    assert_disk(
        FILE_DISK,
        "<driver type='qcow2'/><source file='/top'/>" BACKING(
            "/middle", BACKING("/base", "<backingStore/>")) "<mirror type='file' job='active-commit'><format "
                                                            "type='qcow2'/><source file='/base'/></mirror>",
        "exclusive /top qcow2 data (disk vda)\n"
        "read-only /middle qcow2 data (backing file 1 of disk vda)\n"
        "exclusive /base qcow2 data (backing file 2 of disk vda)\n");
}

static void
test_the_images_of_one_disk_carry_its_number(void)
{
    static const guint expected[] = {1, 1, 0, 0, 2};
    g_autofree char *xml = domain_with(
        "", "<disk><driver type='qcow2'/><source file='/a'/>" BACKING(
                "/base",
                "<backingStore/>") "<mirror type='file'>"
                                   "<source file='/copy'/><backingStore/></mirror></disk>"
                                   "<pstore><path>/erst</path></pstore><disk><source file='/b'/></disk>");
    g_autoptr(GPtrArray) disks = dlk_domain_parse(xml, strlen(xml), NULL);
    g_assert_cmpuint(disks->len, ==, G_N_ELEMENTS(expected));
    for (guint i = 0; i < disks->len; i++)
        g_assert_cmpuint(((const DlkDomainDisk *)disks->pdata[i])->chain, ==, expected[i]);
}

#define TEST(name) g_test_add_func("/domain/chain/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(an_image_without_chain_in_the_xml_is_followed);
    TEST(other_formats_are_never_followed);
    TEST(a_network_image_is_never_followed);
    TEST(the_whole_chain_is_read_only);
    TEST(an_unfinished_chain_is_followed_from_its_last_image);
    TEST(a_backing_file_without_format_is_unknown);
    TEST(an_empty_backing_store_ends_the_chain);
    TEST(backing_files_may_be_elsewhere);
    TEST(a_chain_that_names_itself_twice_is_refused);
    TEST(two_disks_may_share_a_base);
    TEST(a_data_store_is_taken_as_its_image_is);
    TEST(the_mirror_of_a_block_copy_is_exclusive);
    TEST(the_mirror_brings_its_own_chain);
    TEST(an_active_commit_writes_to_the_backing_file);
    TEST(the_images_of_one_disk_carry_its_number);
    return g_test_run();
}
