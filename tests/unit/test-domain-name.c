#include "base/error.h"
#include "model/domain-name.h"

#include <string.h>

/* "web01 UUID", "web01" without one, or "error: …". */
static void
assert_name(const char *xml, const char *expected)
{
    g_autofree char *name = NULL, *uuid = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;
    if (dlk_domain_name_read(xml, strlen(xml), &name, &uuid, &error)) {
        g_assert_no_error(error);
        found = uuid ? g_strjoin(" ", name, uuid, NULL) : g_strdup(name);
    } else {
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        g_assert_null(name);
        g_assert_null(uuid);
        found = g_strconcat("error: ", error->message, NULL);
    }
    g_assert_cmpstr(found, ==, expected);
}

static void
test_name_and_uuid_are_read(void)
{
    assert_name(
        "<domain type='kvm'><name>web01</name><uuid>6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11</uuid></domain>",
        "web01 6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11");
    assert_name("<domain type='kvm'>\n <name>\n web 01 </name>\n</domain>", "web 01");
}

static void
test_a_domain_without_name_is_refused(void)
{
    assert_name("<domain type='kvm'/>", "error: line 1: domain XML: the domain has no <name>");
    assert_name("<domain type='kvm'><name> </name></domain>",
                "error: line 1: domain XML: the domain has no <name>");
}

static void
test_two_names_are_refused(void)
{
    assert_name("<domain>\n<name>a</name>\n<name>b</name></domain>",
                "error: line 3: domain XML: has a second <name>");
    assert_name("<domain><name>a</name>\n<uuid>a</uuid>\n<uuid>b</uuid></domain>",
                "error: line 3: domain XML: has a second <uuid>");
}

static void
test_a_name_of_two_lines_is_refused(void)
{
    assert_name("<domain><name>a\nb</name></domain>",
                "error: line 1: domain XML: <name> has characters that no name has");
}

static void
test_what_is_no_domain_is_refused(void)
{
    assert_name("<network><name>a</name></network>", "error: line 1: domain XML: is not that of a <domain>");
    assert_name("<!DOCTYPE a><domain><name>a</name></domain>",
                "error: line 1: domain XML: has a document type (DOCTYPE), which libvirt never prints");
}

#define TEST(name) g_test_add_func("/domain/name/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(name_and_uuid_are_read);
    TEST(a_domain_without_name_is_refused);
    TEST(two_names_are_refused);
    TEST(a_name_of_two_lines_is_refused);
    TEST(what_is_no_domain_is_refused);
    return g_test_run();
}
