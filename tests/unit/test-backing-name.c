#include "base/error.h"
#include "model/backing-name.h"

#include <string.h>

/* What @name means in the header of /vm/top.qcow2: "PATH FORMAT", or "error: …". */
static char *
describe(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL, *format = NULL;
    if (!dlk_backing_name_resolve(name, "/vm/top.qcow2", &path, &format, &error)) {
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        g_assert_null(path);
        return g_strdup_printf("error: %s", error->message);
    }
    g_assert_no_error(error);
    return g_strdup_printf("%s %s", path, format ? format : "?");
}

static void
assert_means(const char *name, const char *expected)
{
    g_autofree char *text = describe(name);
    g_assert_cmpstr(text, ==, expected);
}

static void
assert_refused(const char *name, const char *reason)
{
    g_autofree char *text = describe(name);
    g_test_message("%s → %s", name, text);
    g_assert_true(g_str_has_prefix(text, "error: "));
    g_assert_nonnull(strstr(text, reason));
}

static void
test_relative_names_start_beside_the_image(void)
{
    assert_means("base.raw", "/vm/base.raw ?");
    assert_means("../base:1.raw", "/vm/../base:1.raw ?");
    assert_means("/elsewhere/base.raw", "/elsewhere/base.raw ?");
}

static void
test_protocols_of_files_are_paths(void)
{
    assert_means("file:/a", "/a ?");
    assert_means("file:a", "/vm/a ?");
    assert_means("host_device:/dev/sdb", "/dev/sdb ?");
}

static void
test_json_names_a_file(void)
{
    assert_means("json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/a\"}}",
                 "/a qcow2");
    assert_means("json:{\"driver\":\"raw\",\"file\":{\"driver\":\"host_device\",\"filename\":\"/dev/sdb\"}}",
                 "/dev/sdb raw");
    assert_means("json:{\"file.filename\":\"/a\"}", "/a ?");
    assert_means("json:{\"driver\":\"qcow2\",\"file.driver\":\"file\",\"file.filename\":\"/a\"}", "/a qcow2");
    assert_means("json:{\"driver\":\"file\",\"filename\":\"/a\"}", "/a ?");
}

static void
test_json_that_leads_elsewhere_is_refused(void)
{
    assert_refused("json:", "what it says of the file is not known");
    assert_refused("json:{", "it is not valid JSON");
    assert_refused("json:[]", "what it says of the file is not known");
    assert_refused("json:{\"driver\":\"qcow2\",\"file\":\"node0\"}", "what it says of the file is not known");
    assert_refused("json:{\"driver\":\"nbd\",\"host\":\"h\"}", "members that are not known");
    assert_refused(
        "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/a\"},\"backing\":\"b\"}",
        "members that are not known");
    assert_refused("json:{\"driver\":\"fat\",\"filename\":\"/a\"}", "it is no local file");
    assert_refused("json:{\"file.driver\":\"nbd\",\"file.filename\":\"/a\"}", "it is no local file");
    assert_refused("json:{\"file.filename\":7}", "it is no local file");
    assert_refused("json:{}", "it is no local file");
    assert_refused("json:{\"file.filename\":\"a\"}", "the path “a” is not absolute");
}

static void
test_deep_json_is_refused(void)
{
    GString *name = g_string_new("json:");
    for (guint i = 0; i < 9; i++)
        g_string_append(name, "{\"file\":");
    g_string_append(name, "{\"filename\":\"/a\"}");
    for (guint i = 0; i < 9; i++)
        g_string_append(name, "}");
    assert_refused(name->str, "it is nested too deep");
    g_string_free(name, TRUE);
}

static void
test_network_names_are_those_of_domains(void)
{
    assert_means("nbd:Host:10810:exportname=a:b", "nbd://host:10810/a:b ?");
    assert_means("nbd:host", "nbd://host:10809/ ?");
    assert_means("nbd:unix:/run/nbd:exportname=e", "nbd+unix:///e?socket=/run/nbd ?");
    assert_means("nbd://host/e", "nbd://host:10809/e ?");
    assert_means("nbd+unix:///e?socket=/run/nbd", "nbd+unix:///e?socket=/run/nbd ?");
    assert_means("nbd://[::1]:7/e", "nbd://[::1]:7/e ?");
    assert_means("https://user:password@Host/a%20b?c=d%20e", "https://host:443/a%20b?c=d%2520e ?");
    assert_means("rbd:pool/image", "rbd:///pool/image ?");
    assert_means("gluster+tcp://h/vol/image", "gluster://h:24007/vol/image ?");
    assert_means("iscsi://h/iqn.x:y/1", "iscsi://h:3260/iqn.x:y/1 ?");
}

static void
test_other_protocols_are_refused(void)
{
    assert_refused("rbd:pool/image:mon_host=a", "its options are not known");
    assert_refused("fat:/folder", "the protocol is not known");
    assert_refused("gopher://h/x", "which is not known");
    assert_refused("nbd://h:x/e", "no valid address");
    assert_refused("nbd+unix:///e", "is not absolute");
    assert_refused(":", "the protocol is not known");
}

#define TEST(name) g_test_add_func("/backing-name/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(relative_names_start_beside_the_image);
    TEST(protocols_of_files_are_paths);
    TEST(json_names_a_file);
    TEST(json_that_leads_elsewhere_is_refused);
    TEST(deep_json_is_refused);
    TEST(network_names_are_those_of_domains);
    TEST(other_protocols_are_refused);
    return g_test_run();
}
