#include "base/error.h"
#include "model/options.h"

#include <string.h>

static const DlkLimits limits = {.leases = 10, .string_length = 16};

/* The options that @text, an a{sv} in GVariant's own notation, says. */
static DlkOptions *
try_parse(const char *text, GError **error)
{
    g_autoptr(GError) syntax = NULL;
    g_autoptr(GVariant) dictionary = g_variant_parse(G_VARIANT_TYPE("a{sv}"), text, NULL, NULL, &syntax);

    g_assert_no_error(syntax);
    return dlk_options_parse(dictionary, &limits, error);
}

static DlkOptions *
parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    DlkOptions *options = try_parse(text, &error);

    g_assert_no_error(error);
    return options;
}

static void
assert_refused(const char *text, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkOptions) options = try_parse(text, &error);

    g_test_message("%s", text);
    g_assert_null(options);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    if (!strstr(error->message, message)) {
        g_test_message("\"%s\" does not say \"%s\"", error->message, message);
        g_test_fail();
    }
}

static void
test_nothing_given_is_the_default(void)
{
    g_autoptr(DlkOptions) options = parse("{}");

    g_assert_null(options->owner);
    g_assert_null(options->owner_uuid);
    g_assert_null(options->why);
    g_assert_null(options->backend);
    g_assert_cmpint(options->lifetime, ==, DLK_LIFETIME_PERSISTENT);
    g_assert_false(options->lifetime_given);
    g_assert_cmpuint(options->pid, ==, 0);
    g_assert_cmpint(options->pidfd_index, ==, -1);
    g_assert_cmpuint(options->wait_ms, ==, 0);
    g_assert_cmpint(options->on_break, ==, DLK_ON_BREAK_SIGNAL);
    g_assert_false(options->on_break_given);
    g_assert_false(options->adopt);
}

static void
test_every_string_is_taken(void)
{
    g_autoptr(DlkOptions) options =
        parse("{'owner': <'web01'>, 'owner-uuid': <'6c0ba7f3'>, 'why': <'größer'>, 'backend': <'fcntl'>}");

    g_assert_cmpstr(options->owner, ==, "web01");
    g_assert_cmpstr(options->owner_uuid, ==, "6c0ba7f3");
    g_assert_cmpstr(options->why, ==, "größer");
    g_assert_cmpstr(options->backend, ==, "fcntl");
}

static void
test_numbers_and_descriptors_are_taken(void)
{
    g_autoptr(DlkOptions) pid = parse("{'pid': <uint32 4711>, 'wait': <uint32 4294967295>}");
    g_autoptr(DlkOptions) pidfd = parse("{'pidfd': <handle 2>}");

    g_assert_cmpuint(pid->pid, ==, 4711);
    g_assert_cmpint(pid->pidfd_index, ==, -1);
    g_assert_cmpuint(pid->wait_ms, ==, G_MAXUINT32);
    g_assert_cmpint(pidfd->pidfd_index, ==, 2);
    g_assert_cmpuint(pidfd->pid, ==, 0);
}

static void
test_every_lifetime_is_taken(void)
{
    static const char *const words[DLK_N_LIFETIMES] = {"persistent", "process", "connection", "fd"};

    for (guint i = 0; i < DLK_N_LIFETIMES; i++) {
        g_autofree char *text = g_strdup_printf("{'lifetime': <'%s'>}", words[i]);
        g_autoptr(DlkOptions) options = parse(text);

        g_assert_cmpuint(options->lifetime, ==, i);
        g_assert_true(options->lifetime_given);
        g_assert_cmpstr(dlk_lifetime_to_string(i), ==, words[i]);
    }
}

static void
test_every_on_break_is_taken(void)
{
    static const char *const words[DLK_N_ON_BREAKS] = {"signal", "pause", "terminate", "kill", "exec"};

    for (guint i = 0; i < DLK_N_ON_BREAKS; i++) {
        g_autofree char *text = g_strdup_printf("{'on-break': <'%s'>}", words[i]);
        g_autoptr(DlkOptions) options = parse(text);

        g_assert_cmpuint(options->on_break, ==, i);
        g_assert_true(options->on_break_given);
        g_assert_cmpstr(dlk_on_break_to_string(i), ==, words[i]);
    }
}

static void
test_adopt_is_taken(void)
{
    g_autoptr(DlkOptions) yes = parse("{'adopt': <true>}");
    g_autoptr(DlkOptions) no = parse("{'adopt': <false>}");

    g_assert_true(yes->adopt);
    g_assert_false(no->adopt);
}

static void
test_wrong_type_names_key_and_type(void)
{
    static const struct {
        const char *key, *right;
    } keys[] = {
        {"owner", "s"},    {"owner-uuid", "s"}, {"why", "s"},           {"lifetime", "s"},
        {"pid", "u"},      {"pidfd", "h"},      {"wait", "u"},          {"backend", "s"},
        {"on-break", "s"}, {"adopt", "b"},      {"backing-files", "b"},
    };
    static const struct {
        const char *type, *value;
    } values[] = {
        {"s", "'x'"},      {"u", "uint32 1"}, {"h", "handle 0"}, {"i", "1"},
        {"t", "uint64 1"}, {"as", "['x']"},   {"v", "<'x'>"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        for (guint k = 0; k < G_N_ELEMENTS(values); k++) {
            g_autofree char *text = g_strdup_printf("{'%s': <%s>}", keys[i].key, values[k].value);
            g_autofree char *message = g_strdup_printf("option %s has type %s; it must be %s", keys[i].key,
                                                       values[k].type, keys[i].right);

            if (!g_str_equal(keys[i].right, values[k].type))
                assert_refused(text, message);
        }
    }
}

static void
test_unknown_key_is_named(void)
{
    assert_refused("{'owner': <'web01'>, 'ownr': <'web01'>}", "option ownr is not known");
    assert_refused("{'': <'web01'>}", "is not known");
    assert_refused("{'Owner': <'web01'>}", "option Owner is not known");
}

static void
test_unknown_key_is_shown_harmlessly(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkOptions) options = try_parse("{'a\\u001b[2J\\n': <'x'>}", &error);

    g_assert_null(options);
    g_assert_null(strchr(error->message, '\033'));
    g_assert_null(strchr(error->message, '\n'));
}

static void
test_string_of_the_greatest_length_is_taken(void)
{
    g_autoptr(DlkOptions) options = parse("{'owner': <'1234567890123456'>}");

    g_assert_cmpuint(strlen(options->owner), ==, limits.string_length);
}

static void
test_string_beyond_the_limit_is_refused(void)
{
    assert_refused("{'owner': <'12345678901234567'>}", "option owner has 17 bytes; 1 to 16 are allowed");
    assert_refused("{'why': <'12345678901234567'>}", "option why has 17 bytes");
    /* Bytes are counted, not letters. */
    assert_refused("{'owner-uuid': <'äöüäöüäöü'>}", "option owner-uuid has 18 bytes");
    assert_refused("{'backend': <''>}", "option backend has 0 bytes");
}

static void
test_control_characters_are_refused(void)
{
    assert_refused("{'owner': <'a\\nb'>}", "option owner has control characters");
    assert_refused("{'why': <'\\u001b[31m'>}", "option why has control characters");
    assert_refused("{'owner-uuid': <'a\\u007f'>}", "option owner-uuid has control characters");
    assert_refused("{'backend': <'a\\u0085'>}", "option backend has control characters");
    assert_refused("{'why': <'a\\u2028b'>}", "option why has control characters");
}

static void
test_words_that_are_none_are_refused(void)
{
    assert_refused("{'lifetime': <'forever'>}", "persistent, process, connection or fd");
    assert_refused("{'lifetime': <''>}", "lifetime");
    assert_refused("{'on-break': <'reboot'>}", "signal, pause, terminate, kill or exec");
}

static void
test_pid_that_no_process_has_is_refused(void)
{
    assert_refused("{'pid': <uint32 0>}", "option pid is 0");
    assert_refused("{'pid': <uint32 2147483648>}", "option pid is 2147483648");
}

static void
test_pid_and_pidfd_exclude_each_other(void)
{
    assert_refused("{'pid': <uint32 1>, 'pidfd': <handle 0>}", "pid and pidfd exclude each other");
    assert_refused("{'pidfd': <handle 0>, 'pid': <uint32 1>}", "pid and pidfd exclude each other");
}

static void
test_negative_descriptor_index_is_refused(void)
{
    assert_refused("{'pidfd': <handle -1>}", "pidfd");
}

static void
test_last_of_two_equal_keys_counts(void)
{
    g_autoptr(DlkOptions) options = parse("[{'owner', <'a'>}, {'owner', <'b'>}]");

    g_assert_cmpstr(options->owner, ==, "b");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/nothing-given-is-the-default", test_nothing_given_is_the_default);
    g_test_add_func("/options/every-string-is-taken", test_every_string_is_taken);
    g_test_add_func("/options/numbers-and-descriptors-are-taken", test_numbers_and_descriptors_are_taken);
    g_test_add_func("/options/every-lifetime-is-taken", test_every_lifetime_is_taken);
    g_test_add_func("/options/every-on-break-is-taken", test_every_on_break_is_taken);
    g_test_add_func("/options/adopt-is-taken", test_adopt_is_taken);
    g_test_add_func("/options/wrong-type-names-key-and-type", test_wrong_type_names_key_and_type);
    g_test_add_func("/options/unknown-key-is-named", test_unknown_key_is_named);
    g_test_add_func("/options/unknown-key-is-shown-harmlessly", test_unknown_key_is_shown_harmlessly);
    g_test_add_func("/options/string-of-the-greatest-length-is-taken",
                    test_string_of_the_greatest_length_is_taken);
    g_test_add_func("/options/string-beyond-the-limit-is-refused", test_string_beyond_the_limit_is_refused);
    g_test_add_func("/options/control-characters-are-refused", test_control_characters_are_refused);
    g_test_add_func("/options/words-that-are-none-are-refused", test_words_that_are_none_are_refused);
    g_test_add_func("/options/pid-that-no-process-has-is-refused", test_pid_that_no_process_has_is_refused);
    g_test_add_func("/options/pid-and-pidfd-exclude-each-other", test_pid_and_pidfd_exclude_each_other);
    g_test_add_func("/options/negative-descriptor-index-is-refused",
                    test_negative_descriptor_index_is_refused);
    g_test_add_func("/options/last-of-two-equal-keys-counts", test_last_of_two_equal_keys_counts);
    return g_test_run();
}
