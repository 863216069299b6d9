#include "base/error.h"
#include "host/chain.h"
#include "qemu-img.h"
#include "scratch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    Scratch scratch;
    GPtrArray *next;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    scratch_init(&fixture->scratch);
    fixture->next = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_chain_link_free);
    qemu_img(fixture->scratch.path, "create -q -f raw base.raw 1M");
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_ptr_array_unref(fixture->next);
    scratch_clear(&fixture->scratch);
}

/* One step from @name there, declared @format. */
static gboolean
step(Fixture *fixture, const char *name, const char *format, GError **error)
{
    g_autofree char *path = scratch_path(&fixture->scratch, name);
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_FILE, name);
    g_autoptr(DlkTarget) target = dlk_target_new(disk, open(path, O_PATH | O_CLOEXEC), -1, NULL);
    g_assert_cmpint(target->fd, >=, 0);
    return dlk_chain_next(target, path, format, fixture->next, error);
}

/* The @index-th link leads to @name there. */
static void
assert_link(const Fixture *fixture, guint index, const char *name, const char *format, gboolean is_data_file)
{
    g_assert_cmpuint(index, <, fixture->next->len);
    const DlkChainLink *found = fixture->next->pdata[index];
    g_autofree char *path = scratch_path(&fixture->scratch, name);
    g_assert_cmpstr(found->path, ==, path);
    g_assert_cmpstr(found->format, ==, format);
    g_assert_cmpint(found->is_data_file, ==, is_data_file);
}

static void
assert_step(Fixture *fixture, const char *name, const char *format, guint links)
{
    g_autoptr(GError) error = NULL;
    step(fixture, name, format, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fixture->next->len, ==, links);
}

static void
test_a_chain_is_followed_step_by_step(Fixture *fixture, gconstpointer data)
{
    qemu_img(fixture->scratch.path, "create -q -f qcow2 -b base.raw -F raw middle.qcow2");
    qemu_img(fixture->scratch.path, "create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2");
    assert_step(fixture, "top.qcow2", "qcow2", 1);
    assert_link(fixture, 0, "middle.qcow2", "qcow2", FALSE);
    assert_step(fixture, "middle.qcow2", "qcow2", 2);
    assert_link(fixture, 1, "base.raw", "raw", FALSE);
    assert_step(fixture, "base.raw", "raw", 2);
}

static void
test_absolute_names_stay(Fixture *fixture, gconstpointer data)
{
    g_autofree char *arguments =
        g_strdup_printf("create -q -f qcow2 -b %s/base.raw -F raw top.qcow2", fixture->scratch.path);
    qemu_img(fixture->scratch.path, arguments);
    assert_step(fixture, "top.qcow2", "qcow2", 1);
    assert_link(fixture, 0, "base.raw", "raw", FALSE);
}

/* QEMU itself is asked whether it finds the base there. */
static void
test_relative_names_start_where_the_link_is(Fixture *fixture, gconstpointer data)
{
    g_autofree char *folder = scratch_folder(&fixture->scratch, "folder");
    g_autofree char *base = scratch_file(&fixture->scratch, "folder/other.raw");
    g_assert_cmpint(truncate(base, 1 << 20), ==, 0);
    qemu_img(fixture->scratch.path, "create -q -u -f qcow2 -b other.raw -F raw top.qcow2 1M");
    g_autofree char *link = scratch_link(&fixture->scratch, "folder/link", "../top.qcow2");
    g_autofree char *info = g_strdup_printf("info --backing-chain %s", link);
    qemu_img("/", info);
    assert_step(fixture, "folder/link", "qcow2", 1);
    assert_link(fixture, 0, "folder/other.raw", "raw", FALSE);
}

static void
test_a_data_file_is_part_of_its_image(Fixture *fixture, gconstpointer data)
{
    qemu_img(fixture->scratch.path, "create -q -f qcow2 -o data_file=data.raw -b base.raw -F raw top.qcow2");
    assert_step(fixture, "top.qcow2", "qcow2", 2);
    assert_link(fixture, 0, "data.raw", "raw", TRUE);
    assert_link(fixture, 1, "base.raw", "raw", FALSE);
}

static void
test_a_backing_file_without_format_is_looked_at(Fixture *fixture, gconstpointer data)
{
    qemu_img(fixture->scratch.path, "create -q -f qcow -b base.raw -F raw middle");
    qemu_img(fixture->scratch.path, "create -q -f qcow -b middle -F qcow top");
    assert_step(fixture, "top", NULL, 1);
    assert_link(fixture, 0, "middle", NULL, FALSE);
    assert_step(fixture, "middle", NULL, 2);
    assert_link(fixture, 1, "base.raw", NULL, FALSE);
    assert_step(fixture, "base.raw", NULL, 2);
}

static void
test_an_image_declared_raw_has_no_next(Fixture *fixture, gconstpointer data)
{
    qemu_img(fixture->scratch.path, "create -q -f qcow2 -b base.raw -F raw top.qcow2");
    assert_step(fixture, "top.qcow2", "raw", 0);
}

static void
test_a_network_disk_has_no_next(Fixture *fixture, gconstpointer data)
{
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_NETWORK, "network:nbd://h:10809/e");
    g_autoptr(DlkTarget) target = dlk_target_new(disk, -1, -1, NULL);
    g_assert_true(dlk_chain_next(target, "nbd://h:10809/e", "qcow2", fixture->next, NULL));
    g_assert_cmpuint(fixture->next->len, ==, 0);
}

static void
test_a_data_file_that_is_no_path_is_refused(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = scratch_path(&fixture->scratch, "image.vmdk");
    g_assert_true(
        g_file_set_contents(path, "# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"nbd:h:1\" 0\n", -1, NULL));
    g_assert_false(step(fixture, "image.vmdk", "vmdk", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
}

static void
test_a_broken_header_is_told(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(step(fixture, "base.raw", "qcow2", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_cmpstr(error->message, ==,
                    "the qcow2 header is missing: the image is of another format than declared");
}

#define TEST(name) g_test_add("/chain/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(a_chain_is_followed_step_by_step);
    TEST(absolute_names_stay);
    TEST(relative_names_start_where_the_link_is);
    TEST(a_data_file_is_part_of_its_image);
    TEST(a_backing_file_without_format_is_looked_at);
    TEST(an_image_declared_raw_has_no_next);
    TEST(a_network_disk_has_no_next);
    TEST(a_data_file_that_is_no_path_is_refused);
    TEST(a_broken_header_is_told);
    return g_test_run();
}
