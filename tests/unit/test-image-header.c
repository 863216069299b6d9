#include "base/error.h"
#include "image-memory.h"
#include "model/image-header.h"
#include "qemu-img.h"
#include "scratch.h"

#include <errno.h>
#include <string.h>

static gssize
read_nothing(gpointer image, guint64 offset, gpointer buffer, gsize length)
{
    errno = EIO;
    return -1;
}

/* "FORMAT backing=NAME:FORMAT data=NAME…", or "error: …" */
static char *
describe(const guint8 *bytes, gsize length, const char *format)
{
    g_autoptr(GError) error = NULL;
    ImageMemory memory = {bytes, length};
    g_autoptr(DlkImageHeader) header = dlk_image_header_read(image_memory_read, &memory, format, &error);
    if (!header) {
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        return g_strdup_printf("error: %s", error->message);
    }
    GString *text = g_string_new(header->format);
    if (header->backing) {
        g_string_append_printf(text, " backing=%s:%s", header->backing,
                               header->backing_format ? header->backing_format : "?");
    }
    for (guint i = 0; i < header->data_files->len; i++)
        g_string_append_printf(text, " data=%s", (char *)header->data_files->pdata[i]);
    return g_string_free(text, FALSE);
}

static void
assert_bytes(const guint8 *bytes, gsize length, const char *format, const char *expected)
{
    g_autofree char *text = describe(bytes, length, format);
    g_assert_cmpstr(text, ==, expected);
}

/* What qemu-img makes with @arguments, followed by the name of the image. */
static void
assert_made(const char *arguments, const char *format, const char *expected)
{
    Scratch scratch;
    g_autofree char *bytes = NULL;
    gsize length = 0;
    scratch_init(&scratch);
    qemu_img(scratch.path, "create -q -f raw base.raw 1M");
    g_autofree char *command = g_strdup_printf("create -q %s", arguments);
    qemu_img(scratch.path, command);
    g_autofree char *path = scratch_path(&scratch, "image");
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    assert_bytes((const guint8 *)bytes, length, format, expected);
    scratch_clear(&scratch);
}

static void
test_qcow2_of_every_kind_is_read(void)
{
    static const char *const options[] = {
        "compat=0.10",          "compat=1.1",      "cluster_size=512", "cluster_size=2M",
        "lazy_refcounts=on",    "refcount_bits=1", "extended_l2=on",   "preallocation=metadata",
        "compression_type=zstd"};
    for (guint i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autofree char *alone = g_strdup_printf("-f qcow2 -o %s image 1M", options[i]);
        assert_made(alone, "qcow2", "qcow2");
        assert_made(alone, NULL, "qcow2");
        if (!g_str_equal(options[i], "preallocation=metadata")) {
            g_autofree char *above = g_strdup_printf("-f qcow2 -b base.raw -F raw -o %s image", options[i]);
            assert_made(above, "qcow2", "qcow2 backing=base.raw:raw");
        }
    }
}

static void
test_names_are_what_the_header_says(void)
{
    assert_made("-f qcow2 -u -b /some/where/base.qcow2 -F qcow2 image 1M", NULL,
                "qcow2 backing=/some/where/base.qcow2:qcow2");
    assert_made("-f qcow2 -u -b ../base -F raw image 1M", NULL, "qcow2 backing=../base:raw");
    assert_made("-f qcow2 -u -b nbd://host/export -F raw image 1M", NULL,
                "qcow2 backing=nbd://host/export:raw");
    assert_made(
        "-f qcow2 -u -F qcow2 -b "
        "'json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/x\"}}' image 1M",
        NULL,
        "qcow2 backing=json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/x\"}}:qcow2");
}

static void
test_the_external_data_file_is_named(void)
{
    assert_made("-f qcow2 -o data_file=data.raw,data_file_raw=on image 1M", NULL, "qcow2 data=data.raw");
    assert_made("-f qcow2 -o data_file=data.raw -b base.raw -F raw image", NULL,
                "qcow2 backing=base.raw:raw data=data.raw");
}

static void
test_an_encrypted_image_has_a_header_too(void)
{
    assert_made("-f qcow2 --object secret,id=s,data=x -o "
                "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 "
                "-b base.raw -F raw image",
                NULL, "qcow2 backing=base.raw:raw");
}

static void
test_qcow_is_read(void)
{
    assert_made("-f qcow image 1M", "qcow", "qcow");
    assert_made("-f qcow -b base.raw -F raw image", NULL, "qcow backing=base.raw:?");
}

static void
test_qed_is_read(void)
{
    assert_made("-f qed image 1M", "qed", "qed");
    assert_made("-f qed -b base.raw -F raw image", NULL, "qed backing=base.raw:raw");
    assert_made("-f qed -u -b base.qed -F qed image 1M", NULL, "qed backing=base.qed:?");
}

static void
test_vmdk_is_read(void)
{
    assert_made("-f vmdk image 1M", "vmdk", "vmdk");
    assert_made("-f vmdk -o subformat=streamOptimized image 1M", NULL, "vmdk");
    assert_made("-f vmdk -o subformat=monolithicFlat image 1M", NULL, "vmdk data=image-flat");
    assert_made("-f vmdk -o subformat=twoGbMaxExtentFlat image 3G", NULL,
                "vmdk data=image-f001 data=image-f002");
    assert_made("-f vmdk -o subformat=twoGbMaxExtentSparse image 3G", NULL,
                "vmdk data=image-s001 data=image-s002");
}

static void
test_the_parent_of_a_vmdk_is_named(void)
{
    Scratch scratch;
    g_autofree char *bytes = NULL;
    gsize length = 0;
    scratch_init(&scratch);
    qemu_img(scratch.path, "create -q -f vmdk parent.vmdk 1M");
    qemu_img(scratch.path, "create -q -f vmdk -b parent.vmdk -F vmdk image");
    g_autofree char *path = scratch_path(&scratch, "image");
    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    assert_bytes((const guint8 *)bytes, length, "vmdk", "vmdk backing=parent.vmdk:?");
    scratch_clear(&scratch);
}

static void
test_other_formats_have_no_next(void)
{
    static const char *const formats[] = {"raw", "vdi", "vpc", "vhdx", "parallels"};
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *arguments = g_strdup_printf("-f %s image 1M", formats[i]);
        assert_made(arguments, NULL, "raw");
        assert_made(arguments, formats[i], "raw");
    }
}

static void
test_an_image_declared_raw_is_not_even_read(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkImageHeader) header = dlk_image_header_read(read_nothing, NULL, "raw", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(header->format, ==, "raw");
    assert_made("-f qcow2 -b base.raw -F raw image", "raw", "raw");
}

static void
test_an_image_of_another_format_than_declared_is_refused(void)
{
    assert_made("-f qcow2 image 1M", "qcow",
                "error: the qcow header is missing: the image is of another format than declared");
    assert_made("-f raw image 1M", "qcow2",
                "error: the qcow2 header is missing: the image is of another format than declared");
    assert_bytes((const guint8 *)"", 0, "vmdk",
                 "error: the vmdk header is missing: the image is of another format than declared");
}

static void
test_storage_that_fails_is_no_broken_header(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(dlk_image_header_read(read_nothing, NULL, "qcow2", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
}

/* A qcow2 header of version 3 with one cluster of 512 bytes, to be spoilt. */
typedef struct {
    guint8 bytes[512];
} Qcow2;

static void
put32(Qcow2 *image, gsize offset, guint32 number)
{
    number = GUINT32_TO_BE(number);
    memcpy(image->bytes + offset, &number, sizeof number);
}

static Qcow2
make_qcow2(void)
{
    Qcow2 image = {{0}};
    memcpy(image.bytes, "QFI\xfb", 4);
    put32(&image, 4, 3);
    put32(&image, 12, 200); /* backing file's name: offset, length */
    put32(&image, 16, 4);
    put32(&image, 20, 9);
    put32(&image, 100, 104);
    memcpy(image.bytes + 200, "base", 4);
    return image;
}

static void
assert_qcow2(const Qcow2 *image, const char *expected)
{
    assert_bytes(image->bytes, sizeof image->bytes, NULL, expected);
}

static void
test_a_qcow2_made_by_hand_is_read(void)
{
    const Qcow2 image = make_qcow2();
    assert_qcow2(&image, "qcow2 backing=base:?");
}

/* A whole number somewhere in the header is what a guest made of it. */
static void
assert_spoilt(gsize offset, guint32 number, const char *reason)
{
    Qcow2 image = make_qcow2();
    g_autofree char *expected = g_strdup_printf("error: the qcow2 header %s", reason);
    put32(&image, offset, number);
    assert_qcow2(&image, expected);
}

static void
test_numbers_of_a_hostile_qcow2_are_bounded(void)
{
    assert_spoilt(4, 4, "has a version other than 2 and 3");
    assert_spoilt(4, 0xffffffff, "has a version other than 2 and 3");
    assert_spoilt(20, 8, "has no valid cluster size");
    assert_spoilt(20, 0xffffffff, "has no valid cluster size");
    assert_spoilt(100, 103, "has no valid length");
    assert_spoilt(100, 513, "has no valid length");
    assert_spoilt(8, 1, "has the name of its backing file outside of itself");
    assert_spoilt(12, 513, "has the name of its backing file outside of itself");
    assert_spoilt(16, 0xffffffff, "names a backing file of 4294967295 bytes, more than QEMU takes");
    assert_spoilt(16, 313, "names a backing file of 313 bytes, more than QEMU takes");
}

static void
test_extensions_of_a_hostile_qcow2_are_bounded(void)
{
    Qcow2 image = make_qcow2();
    put32(&image, 104, 0x12345678);
    put32(&image, 108, 0xfffffff8);
    assert_qcow2(&image, "error: the qcow2 header has an extension that reaches beyond it");
    image = make_qcow2();
    put32(&image, 104, 0xe2792aca);
    put32(&image, 108, 16);
    assert_qcow2(&image, "error: the qcow2 header names a backing format of 16 bytes, more than QEMU takes");
}

static void
test_endless_extensions_end(void)
{
    static guint8 bytes[1 << 21];
    Qcow2 image = make_qcow2();
    put32(&image, 12, 0);
    put32(&image, 20, 21);
    memset(bytes, 0, sizeof bytes);
    for (gsize i = 0; i < sizeof bytes; i += 8)
        bytes[i] = 1;
    memcpy(bytes, image.bytes, 104);
    assert_bytes(bytes, sizeof bytes, NULL, "error: the qcow2 header has too many extensions");
}

static void
test_names_with_control_characters_are_refused(void)
{
    Qcow2 image = make_qcow2();
    image.bytes[201] = '\n';
    assert_qcow2(&image, "error: the qcow2 header names a backing file with control characters");
    image.bytes[201] = '\0';
    assert_qcow2(&image, "error: the qcow2 header names a backing file with control characters");
    image.bytes[201] = 0xff;
    assert_qcow2(&image, "error: the qcow2 header names a backing file with control characters");
}

static void
test_a_data_file_without_the_feature_bit_is_none(void)
{
    Qcow2 image = make_qcow2();
    put32(&image, 104, 0x44415441);
    put32(&image, 108, 4);
    memcpy(image.bytes + 112, "data", 4);
    assert_qcow2(&image, "qcow2 backing=base:?");
    put32(&image, 76, 4);
    assert_qcow2(&image, "qcow2 backing=base:? data=data");
}

static void
test_headers_cut_short_are_refused(void)
{
    const Qcow2 image = make_qcow2();
    for (gsize length = 8; length < 112; length++)
        assert_bytes(image.bytes, length, NULL, "error: the qcow2 header is cut short");
    assert_bytes((const guint8 *)"QFI\xfb\0\0\0\1", 8, NULL, "error: the qcow header is cut short");
    assert_bytes((const guint8 *)"QED\0", 4, NULL, "error: the qed header is cut short");
}

static void
test_a_hostile_qcow_is_bounded(void)
{
    static const guint8 far[20] = {'Q',  'F',  'I',  0xfb, 0,    0,    0, 1, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0,    4};
    static const guint8 lengthy[20] = {'Q', 'F', 'I', 0xfb, 0, 0, 0,    1,    0,    0,
                                       0,   0,   0,   0,    0, 8, 0xff, 0xff, 0xff, 0xff};
    assert_bytes(far, sizeof far, NULL, "error: the qcow header is cut short");
    assert_bytes(lengthy, sizeof lengthy, NULL,
                 "error: the qcow header names a backing file of 4294967295 bytes, more than QEMU takes");
}

static void
assert_descriptor(const char *text, const char *expected)
{
    assert_bytes((const guint8 *)text, strlen(text), NULL, expected);
}

#define DESCRIPTOR "# Disk DescriptorFile\nversion=1\n"

static void
test_a_hostile_vmdk_is_bounded(void)
{
    GString *many = g_string_new(DESCRIPTOR);
    g_autofree char *name = g_strnfill(1024, 'a');
    g_autofree char *parent = g_strdup_printf(DESCRIPTOR "parentFileNameHint=\"%s\"\n", name);
    for (guint i = 0; i < 1025; i++)
        g_string_append(many, "RW 1 FLAT \"a\" 0\n");
    assert_descriptor(many->str, "error: the vmdk header has too many extents");
    assert_descriptor(parent, "error: the vmdk header names no valid parent");
    assert_descriptor(DESCRIPTOR "parentFileNameHint=\"a", "error: the vmdk header names no valid parent");
    assert_descriptor(DESCRIPTOR "RW 1 FLAT \"a\x1b\" 0\n", "error: the vmdk header names no valid extent");
    g_string_free(many, TRUE);
}

static void
test_only_writable_extents_with_a_file_count(void)
{
    assert_descriptor(DESCRIPTOR
                      "RW 1 ZERO\nRDONLY 1 FLAT \"no\" 0\nRW 1 SPARSE \"yes\"\r\nNOACCESS 1 FLAT \"no\"\n",
                      "vmdk data=yes");
}

static void
test_a_text_about_vmdk_is_none(void)
{
    assert_descriptor("# Disk DescriptorFile\n", "raw");
    assert_descriptor("# Disk DescriptorFile\nversion=9\n", "raw");
    assert_descriptor("   ", "raw");
    assert_descriptor("# comment\r\n\r\nversion=3\r\n", "vmdk");
}

#define TEST(name) g_test_add_func("/image-header/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(qcow2_of_every_kind_is_read);
    TEST(names_are_what_the_header_says);
    TEST(the_external_data_file_is_named);
    TEST(an_encrypted_image_has_a_header_too);
    TEST(qcow_is_read);
    TEST(qed_is_read);
    TEST(vmdk_is_read);
    TEST(the_parent_of_a_vmdk_is_named);
    TEST(other_formats_have_no_next);
    TEST(an_image_declared_raw_is_not_even_read);
    TEST(an_image_of_another_format_than_declared_is_refused);
    TEST(storage_that_fails_is_no_broken_header);
    TEST(a_qcow2_made_by_hand_is_read);
    TEST(numbers_of_a_hostile_qcow2_are_bounded);
    TEST(extensions_of_a_hostile_qcow2_are_bounded);
    TEST(endless_extensions_end);
    TEST(names_with_control_characters_are_refused);
    TEST(a_data_file_without_the_feature_bit_is_none);
    TEST(headers_cut_short_are_refused);
    TEST(a_hostile_qcow_is_bounded);
    TEST(a_hostile_vmdk_is_bounded);
    TEST(only_writable_extents_with_a_file_count);
    TEST(a_text_about_vmdk_is_none);
    return g_test_run();
}
