#include "policy-fixture.h"

/* Text that holds every key, all of them other than the default. */
#define EVERYTHING                                                                                           \
    "# a comment\n"                                                                                          \
    "[Host]\n"                                                                                               \
    "id=alpha.example\n"                                                                                     \
    "\n"                                                                                                     \
    "[Rule web]\n"                                                                                           \
    "match-path=/srv/web/*.img;*.qcow2\n"                                                                    \
    "match-kind=file;network\n"                                                                              \
    "match-filesystem=nfs*;ext4\n"                                                                           \
    "backend=fcntl;host\n"                                                                                   \
    "fallback=host\n"                                                                                        \
    "lockspace=/srv/locks\n"                                                                                 \
    "reach=host\n"                                                                                           \
    "modes=exclusive;read-only\n"                                                                            \
    "readers=strict\n"                                                                                       \
    "check-interval=2.5\n"                                                                                   \
    "risk-timeout=30\n"                                                                                      \
    "grace=0.25\n"                                                                                           \
    "unreachable-after=3\n"                                                                                  \
    "connection-grace=2.5\n"                                                                                 \
    "open-as=owner\n"                                                                                        \
    "on-break=exec\n"                                                                                        \
    "on-break-allowed=exec;kill\n"                                                                           \
    "exec=/usr/libexec/fence\n"                                                                              \
    "[Rule luns]\n"                                                                                          \
    "match-transport=scsi;nvme\n"                                                                            \
    "deny=true\n"                                                                                            \
    "[Limits]\n"                                                                                             \
    "leases-per-uid=5\n"                                                                                     \
    "waiters-per-uid=6\n"                                                                                    \
    "questions-per-uid=8\n"                                                                                  \
    "leases=7\n"                                                                                             \
    "string-length=100\n"

static DlkRule *
rule_at(const DlkPolicy *policy, guint index)
{
    g_assert_cmpuint(index, <, policy->rules->len);
    return policy->rules->pdata[index];
}

static void
assert_strings(char **strings, const char *joined)
{
    g_assert_nonnull(strings);
    g_autofree char *found = g_strjoinv(" ", strings);
    g_assert_cmpstr(found, ==, joined);
}

static void
test_conditions_are_read(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(EVERYTHING);
    const DlkRule *web = rule_at(policy, 0);
    g_assert_cmpstr(web->name, ==, "web");
    assert_strings(web->match_paths, "/srv/web/*.img *.qcow2");
    g_assert_cmpuint(web->match_kinds, ==, 1u << DLK_KIND_FILE | 1u << DLK_KIND_NETWORK);
    assert_strings(web->match_filesystems, "nfs* ext4");
    g_assert_null(web->match_transports);
    assert_strings(rule_at(policy, 1)->match_transports, "scsi nvme");
}

static void
test_backend_fallback_lockspace_and_open_as_are_read(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(EVERYTHING);
    const DlkRule *web = rule_at(policy, 0);
    assert_strings(web->backends, "fcntl host");
    g_assert_cmpint(web->fallback, ==, DLK_FALLBACK_HOST);
    g_assert_cmpstr(web->lockspace, ==, "/srv/locks");
    g_assert_cmpint(web->reach, ==, DLK_REACH_HOST);
    g_assert_cmpstr(web->open_as, ==, "owner");
}

static void
test_modes_and_readers_are_read(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(EVERYTHING);
    const DlkRule *web = rule_at(policy, 0);
    g_assert_cmpuint(web->modes, ==, 1u << DLK_MODE_EXCLUSIVE | 1u << DLK_MODE_READ_ONLY);
    g_assert_true(web->strict_readers);
}

static void
test_durations_become_microseconds(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(EVERYTHING);
    const DlkRule *web = rule_at(policy, 0);
    g_assert_cmpint(web->check_interval, ==, 2500000);
    g_assert_cmpint(web->risk_timeout, ==, 30000000);
    g_assert_cmpint(web->grace, ==, 250000);
    g_assert_cmpint(web->unreachable_after, ==, 3000000);
    g_assert_cmpint(web->connection_grace, ==, 2500000);
}

static void
test_on_break_is_read(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(EVERYTHING);
    const DlkRule *web = rule_at(policy, 0);
    g_assert_cmpint(web->on_break, ==, DLK_ON_BREAK_EXEC);
    g_assert_cmpuint(web->on_break_allowed, ==, 1u << DLK_ON_BREAK_EXEC | 1u << DLK_ON_BREAK_KILL);
    g_assert_cmpstr(web->exec, ==, "/usr/libexec/fence");
}

static void
test_deny_is_read(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(EVERYTHING);
    g_assert_false(rule_at(policy, 0)->deny);
    g_assert_true(rule_at(policy, 1)->deny);
}

static void
test_host_and_limits_are_read(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(EVERYTHING);
    g_assert_cmpstr(policy->host_id, ==, "alpha.example");
    g_assert_cmpuint(policy->limits.leases_per_uid, ==, 5);
    g_assert_cmpuint(policy->limits.waiters_per_uid, ==, 6);
    g_assert_cmpuint(policy->limits.questions_per_uid, ==, 8);
    g_assert_cmpuint(policy->limits.leases, ==, 7);
    g_assert_cmpuint(policy->limits.string_length, ==, 100);
}

static void
test_an_empty_policy_has_the_defaults(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("");
    g_assert_cmpuint(policy->rules->len, ==, 0);
    g_assert_null(policy->host_id);
    g_assert_cmpuint(policy->limits.leases, ==, DLK_DEFAULT_LEASES);
    g_assert_cmpuint(policy->limits.string_length, ==, DLK_DEFAULT_STRING_LENGTH);
}

static void
test_exec_may_be_asked_for_once_a_program_is_named(void)
{
    g_autoptr(DlkPolicy) with = parse_policy("[Rule a]\nexec=/bin/true\n");
    g_autoptr(DlkPolicy) without = parse_policy("[Rule a]\n");
    const guint all_but_exec = 1u << DLK_ON_BREAK_SIGNAL | 1u << DLK_ON_BREAK_PAUSE |
                               1u << DLK_ON_BREAK_TERMINATE | 1u << DLK_ON_BREAK_KILL;
    g_assert_cmpuint(rule_at(with, 0)->on_break_allowed, ==, all_but_exec | 1u << DLK_ON_BREAK_EXEC);
    g_assert_cmpuint(rule_at(without, 0)->on_break_allowed, ==, all_but_exec);
}

static void
test_space_tabs_and_carriage_returns_around_words_do_not_count(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(
        "  [ Rule   web ]\r\n\tmatch-path = /a/* ; /b/* ; \r\n  # said\r\n \t\r\nreaders =strict \t");
    const DlkRule *web = rule_at(policy, 0);
    g_assert_cmpstr(web->name, ==, "web");
    assert_strings(web->match_paths, "/a/* /b/*");
    g_assert_true(web->strict_readers);
}

static void
test_a_glob_may_hold_an_escaped_semicolon_and_backslash(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule a]\nmatch-path=/a\\;b;/c\\\\*d\n");
    assert_strings(rule_at(policy, 0)->match_paths, "/a;b /c\\*d");
}

static void
test_text_need_not_end_with_nul_or_newline(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    g_autofree char *text = g_memdup2("[Rule abc]", 10);
    dlk_policy_parser_add(parser, POLICY_NAME, text, 10);
    g_autoptr(DlkPolicy) policy = dlk_policy_parser_finish(parser, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(rule_at(policy, 0)->name, ==, "abc");
}

static void
test_an_earlier_file_overrides_a_rule_as_a_whole_and_comes_first(void)
{
    static const char first[] = "[Rule b]\nreaders=strict\n";
    static const char second[] = "[Rule a]\n[Rule b]\ndeny=true\n";
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    dlk_policy_parser_add(parser, "etc", first, strlen(first));
    dlk_policy_parser_add(parser, "vendor", second, strlen(second));
    g_autoptr(DlkPolicy) policy = dlk_policy_parser_finish(parser, NULL);
    g_assert_cmpuint(policy->rules->len, ==, 2);
    g_assert_cmpstr(rule_at(policy, 0)->name, ==, "b");
    g_assert_true(rule_at(policy, 0)->strict_readers);
    g_assert_false(rule_at(policy, 0)->deny);
    g_assert_cmpstr(rule_at(policy, 1)->name, ==, "a");
}

static void
test_an_earlier_file_overrides_host_and_limits_key_by_key(void)
{
    static const char first[] = "[Limits]\nleases=5\n[Host]\nid=first\n";
    static const char second[] = "[Limits]\nleases=6\nstring-length=99\n[Host]\nid=second\n";
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    dlk_policy_parser_add(parser, "etc", first, strlen(first));
    dlk_policy_parser_add(parser, "vendor", second, strlen(second));
    g_autoptr(DlkPolicy) policy = dlk_policy_parser_finish(parser, NULL);
    g_assert_cmpuint(policy->limits.leases, ==, 5);
    g_assert_cmpuint(policy->limits.string_length, ==, 99);
    g_assert_cmpstr(policy->host_id, ==, "first");
}

/* Parses @text, which may be anything: a policy or a list of mistakes comes out, each with a reason. */
static void
swallow(const char *text, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    dlk_policy_parser_add(parser, POLICY_NAME, text, length);
    GPtrArray *mistakes = dlk_policy_parser_mistakes(parser);
    for (guint i = 0; i < mistakes->len; i++) {
        const DlkMistake *mistake = mistakes->pdata[i];
        g_assert_cmpstr(mistake->file, ==, POLICY_NAME);
        g_assert_cmpuint(mistake->line, >, 0);
        g_assert_cmpuint(strlen(mistake->reason), >, 10);
        g_assert_true(g_utf8_validate(mistake->reason, -1, NULL));
    }
    g_autoptr(DlkPolicy) policy = dlk_policy_parser_finish(parser, &error);
    g_assert_true((policy != NULL) == (mistakes->len == 0));
    g_assert_true((error != NULL) == (mistakes->len > 0));
}

static void
test_random_bytes_do_no_harm(void)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(4711);
    char text[256];
    for (guint round = 0; round < 5000; round++) {
        const gsize length = (gsize)g_rand_int_range(random, 0, sizeof text);
        for (gsize i = 0; i < length; i++)
            text[i] = (char)g_rand_int_range(random, 0, 256);
        swallow(text, length);
    }
}

static void
test_a_damaged_policy_does_no_harm(void)
{
    static const char pieces[] = "\n[]=;\\#+*/.\t\r\0\xff\xc3 aR0-";
    g_autoptr(GRand) random = g_rand_new_with_seed(4711);
    for (guint round = 0; round < 5000; round++) {
        char text[] = EVERYTHING;
        for (guint i = (guint)g_rand_int_range(random, 1, 8); i > 0; i--) {
            text[g_rand_int_range(random, 0, sizeof text - 1)] =
                pieces[g_rand_int_range(random, 0, sizeof pieces - 1)];
        }
        swallow(text, (gsize)g_rand_int_range(random, 0, sizeof text));
    }
}

#define ADD(name) g_test_add_func("/policy-parser/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(conditions_are_read);
    ADD(backend_fallback_lockspace_and_open_as_are_read);
    ADD(modes_and_readers_are_read);
    ADD(durations_become_microseconds);
    ADD(on_break_is_read);
    ADD(deny_is_read);
    ADD(host_and_limits_are_read);
    ADD(an_empty_policy_has_the_defaults);
    ADD(exec_may_be_asked_for_once_a_program_is_named);
    ADD(space_tabs_and_carriage_returns_around_words_do_not_count);
    ADD(a_glob_may_hold_an_escaped_semicolon_and_backslash);
    ADD(text_need_not_end_with_nul_or_newline);
    ADD(an_earlier_file_overrides_a_rule_as_a_whole_and_comes_first);
    ADD(an_earlier_file_overrides_host_and_limits_key_by_key);
    ADD(random_bytes_do_no_harm);
    ADD(a_damaged_policy_does_no_harm);
    return g_test_run();
}
