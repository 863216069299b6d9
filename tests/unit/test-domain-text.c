#include "client/libvirt/domain-text.h"
#include "model/domain-name.h"

#include <string.h>

#define FOLDER SOURCE_DIR "/tests/domains"
#define UUID "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11"
#define OTHER "0c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a22"

static void
assert_uuid(const char *xml, const char *expected)
{
    char uuid[DLK_UUID_LENGTH + 1];
    g_assert_true(dlk_domain_text_uuid(xml, uuid));
    g_assert_cmpstr(uuid, ==, expected);
}

static void
assert_refused(const char *xml)
{
    char uuid[DLK_UUID_LENGTH + 1];
    g_assert_false(dlk_domain_text_uuid(xml, uuid));
}

static void
test_the_uuid_is_that_of_the_domain_alone(void)
{
    assert_uuid("<domain type='kvm'><name>a</name>\n<uuid>\n " UUID " </uuid></domain>", UUID);
    assert_uuid("<domain><metadata><x:uuid/><uuid>" OTHER "</uuid></metadata><uuid>" UUID "</uuid></domain>",
                UUID);
    assert_uuid("<domain><metadata><uuid>" OTHER "</uuid></metadata></domain>", "");
    assert_uuid("<domain><uuidlike>" OTHER "</uuidlike><uuid/><uuid>" UUID "</uuid></domain>", UUID);
}

static void
test_what_is_no_element_is_passed_over(void)
{
    assert_uuid("<?xml version='1.0'?>\n<!-- <pool> -->\n<domain><!-- <uuid>" OTHER "</uuid> --><uuid>" UUID
                "</uuid></domain>\n",
                UUID);
    assert_uuid("<domain><title><![CDATA[<uuid>" OTHER "</uuid>]]></title><uuid>" UUID "</uuid></domain>",
                UUID);
    assert_uuid("<domain a='/>' b=\"<uuid>'" OTHER "</uuid>\"><uuid>" UUID "</uuid></domain>", UUID);
}

static void
test_what_could_be_no_name_of_a_file_is_no_uuid(void)
{
    assert_uuid("<domain><uuid>../../../../../../../../../../etc/passwd</uuid></domain>", "");
    assert_uuid("<domain><uuid>" UUID "0</uuid></domain>", "");
    assert_uuid("<domain><uuid>6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a1</uuid></domain>", "");
    assert_uuid("<domain><uuid></uuid></domain>", "");
    g_assert_true(dlk_is_uuid(UUID));
    g_assert_false(dlk_is_uuid(""));
    g_assert_false(dlk_is_uuid(UUID ".draft"));
}

static void
test_what_is_no_domain_is_refused(void)
{
    static const char *const others[] = {"",
                                         " ",
                                         "web01",
                                         "<",
                                         "<domain",
                                         "<domain a='>",
                                         "<domain>",
                                         "<domain><uuid>",
                                         "<domain><!-- </domain>",
                                         "<domain><?",
                                         "</domain>",
                                         "<pool></pool>",
                                         "<domains></domains>",
                                         "<domain/><domain/>"};
    for (gsize i = 0; i < G_N_ELEMENTS(others); i++)
        assert_refused(others[i]);
}

/* A parser of XML reads the same of what libvirt printed. */
static void
test_one_domain(gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL, *name = NULL, *uuid = NULL;
    gsize length = 0;
    g_file_get_contents(data, &xml, &length, &error);
    g_assert_no_error(error);
    g_assert_true(dlk_domain_name_read(xml, length, &name, &uuid, &error));
    assert_uuid(xml, uuid ?: "");
    /* And part of it is no domain. */
    for (gsize end = strlen(g_strchomp(xml)); end > 0; end -= MIN(end, 97)) {
        xml[end - 1] = '\0';
        assert_refused(xml);
    }
}

static void
add_domains(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) folder = g_dir_open(FOLDER, 0, &error);
    g_assert_no_error(error);
    for (const char *file = g_dir_read_name(folder); file; file = g_dir_read_name(folder)) {
        g_autofree char *name = g_strconcat("/domain-text/corpus/", file, NULL);
        if (g_str_has_suffix(file, ".xml"))
            g_test_add_data_func_full(name, g_build_filename(FOLDER, file, NULL), test_one_domain, g_free);
    }
}

#define TEST(name) g_test_add_func("/domain-text/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(the_uuid_is_that_of_the_domain_alone);
    TEST(what_is_no_element_is_passed_over);
    TEST(what_could_be_no_name_of_a_file_is_no_uuid);
    TEST(what_is_no_domain_is_refused);
    add_domains();
    return g_test_run();
}
