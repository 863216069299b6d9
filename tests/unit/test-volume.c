#include "base/error.h"
#include "host/volume.h"
#include "scratch.h"

#include <string.h>

typedef struct {
    Scratch scratch;
    char *active, *defined;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    f->active = scratch_folder(&f->scratch, "active");
    f->defined = scratch_folder(&f->scratch, "defined");
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_free(f->active);
    g_free(f->defined);
    scratch_clear(&f->scratch);
}

/* libvirt's description of the pool `default`, whose target is @path. */
static void
describe(const char *folder, const char *path)
{
    g_autofree char *file = g_build_filename(folder, "default.xml", NULL);
    g_autofree char *xml =
        g_strdup_printf("<pool type='dir'><name>default</name><target><path>%s</path></target></pool>", path);

    g_assert_true(g_file_set_contents(file, xml, -1, NULL));
}

static char *
locate(const Fixture *f, const char *uri, GError **error)
{
    const char *const folders[] = {f->active, f->defined, NULL};

    return dlk_volume_locate(uri, folders, error);
}

static void
assert_located(const Fixture *f, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = locate(f, "volume:///default/a.img", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(path, ==, expected);
}

static void
assert_refused(const Fixture *f, const char *uri, const char *part_of_message)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(locate(f, uri, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, part_of_message));
}

static void
test_active_pool_counts_before_the_defined_one(Fixture *f, gconstpointer data)
{
    describe(f->defined, "/images/later");
    assert_located(f, "/images/later/a.img");
    describe(f->active, "/images/now");
    assert_located(f, "/images/now/a.img");
}

static void
test_refusal_names_volume_and_pool(Fixture *f, gconstpointer data)
{
    assert_refused(f, "volume:///none/a.img",
                   "volume a.img of storage pool none: libvirt has no storage pool");
    g_autofree char *file = g_build_filename(f->defined, "default.xml", NULL);
    g_assert_true(g_file_set_contents(file, "<pool", -1, NULL));
    assert_refused(f, "volume:///default/a.img", "volume a.img of storage pool default: line 1:");
}

static void
test_name_of_a_pool_leads_nowhere_else(Fixture *f, gconstpointer data)
{
    describe(f->active, "/images");
    assert_refused(f, "volume:///..%2Factive%2Fdefault/a.img", "names no volume");
}

#define TEST(name) g_test_add("/volume/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(active_pool_counts_before_the_defined_one);
    TEST(refusal_names_volume_and_pool);
    TEST(name_of_a_pool_leads_nowhere_else);
    return g_test_run();
}
