#include "domain-fixture.h"

/* The domains in tests/domains/, which virt-install and libvirt printed, and what is to be made of each. */

#define FOLDER SOURCE_DIR "/tests/domains"
#define FEWEST 40

static void
test_one_domain(gconstpointer data)
{
    const char *name = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL, *expected = NULL;
    gsize length = 0;
    g_autofree char *xml_path = g_strdup_printf("%s/%s.xml", FOLDER, name);
    g_autofree char *expected_path = g_strdup_printf("%s/%s.expected", FOLDER, name);
    g_file_get_contents(xml_path, &xml, &length, &error);
    g_assert_no_error(error);
    g_file_get_contents(expected_path, &expected, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *text = describe_domain(xml, length);
    g_assert_cmpstr(text, ==, expected);
}

static void
test_there_are_enough(gconstpointer data)
{
    g_assert_cmpuint(GPOINTER_TO_UINT(data), >=, FEWEST);
}

static guint
add_domains(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) folder = g_dir_open(FOLDER, 0, &error);
    guint count = 0;
    g_assert_no_error(error);
    for (const char *file = g_dir_read_name(folder); file; file = g_dir_read_name(folder)) {
        if (!g_str_has_suffix(file, ".xml"))
            continue;
        char *name = g_strndup(file, strlen(file) - strlen(".xml"));
        g_autofree char *path = g_strconcat("/domain-corpus/", name, NULL);
        g_test_add_data_func_full(path, name, test_one_domain, g_free);
        count++;
    }
    return count;
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    const guint count = add_domains();
    g_test_add_data_func("/domain-corpus/there-are-enough", GUINT_TO_POINTER(count), test_there_are_enough);
    return g_test_run();
}
