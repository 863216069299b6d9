#include "base/text.h"
#include "policy-fixture.h"

/* Wrong: one value that must be refused, and a part of the reason. */
typedef struct {
    const char *section;
    const char *line;
    const char *reason;
} Wrong;

#define A_NUMBER_OF_SECONDS "must be a number of seconds from 0.01 to 86400, fractions after a dot, not "

static const Wrong wrongs[] = {
    {"Host", "id=", "must be 1 to 64 letters, digits and \"._-\", not \"\""},
    {"Host", "id=two words", "not \"two words\""},
    {"Host", "id=a123456789b123456789c123456789d123456789e123456789f123456789g1234",
     "must be 1 to 64 letters"},
    {"Rule r", "match-path=", "must be globs of absolute paths"},
    {"Rule r", "match-path=/a/*;;/b/*", "must be globs of absolute paths"},
    {"Rule r", "match-path=/a\\tb", "not \"/a\\x09b\""},
    {"Rule r", "match-path=srv/*.img", "\"srv/*.img\" can never match: a glob begins with \"/\" or \"*\""},
    {"Rule r", "match-path=/ok/*;[ab]*", "\"[ab]*\" can never match"},
    {"Rule r", "match-path=/srv/", "names a folder: write \"/srv/*\""},
    {"Rule r", "match-path=/srv//*.img", "can never match: write the path where the disk really is"},
    {"Rule r", "match-path=/srv/../*.img", "can never match"},
    {"Rule r", "match-path=/srv/./*.img", "can never match"},
    {"Rule r", "match-path=/srv/..", "can never match"},
    {"Rule r", "match-path=/srv\\\\", "a backslash at its end"},
    {"Rule r", "match-path=/srv\\q", "must write a backslash twice"},
    {"Rule r", "match-kind=tape", "must be some of file, block, network with \";\" between, not \"tape\""},
    {"Rule r", "match-kind=file,block", "not \"file,block\""},
    {"Rule r", "match-kind=;", "not \"\""},
    {"Rule r", "match-filesystem=nfs, nfs4", "must be filesystem types with \";\" between"},
    {"Rule r", "match-transport=s/csi", "must be transports with \";\" between"},
    {"Rule r", "deny=yes", "must be true or false, not \"yes\""},
    {"Rule r", "deny=", "must be true or false, not \"\""},
    {"Rule r", "backend=tape", "names \"tape\", which does not exist: there are fcntl, host, scsi"},
    {"Rule r", "backend=fcntl;tape", "names \"tape\""},
    {"Rule r", "backend=fcntl+tape", "names \"tape\", which does not exist"},
    {"Rule r", "backend=fcntl+fcntl", "combines with \"+\" two different ones of"},
    {"Rule r", "backend=fcntl+host+scsi", "combines with \"+\" two different ones of"},
    {"Rule r", "backend=fcntl+", "names \"\", which does not exist"},
    {"Rule r", "backend=", "must be names of backends"},
    {"Rule r", "fallback=none", "must be refuse or host, not \"none\""},
    {"Rule r", "fallback=ho\\qst", "must write a backslash twice"},
    {"Rule r", "reach=all", "must be host or hosts, not \"all\""},
    {"Rule r", "reach=hosts", "never holds with backend=host"},
    {"Rule r", "reach=hosts\nbackend=fcntl\nfallback=host", "contradict each other"},
    {"Rule r", "holder-file=beside", "must be true or false"},
    {"Rule r", "unseen-loss=no", "must be accept or refuse, not \"no\""},
    {"Rule r", "lockspace=locks", "must be an absolute path"},
    {"Rule r", "lockspace=/locks/../etc", "must be an absolute path"},
    {"Rule r", "lockspace=/locks/", "must be an absolute path"},
    {"Rule r", "open-as=0", "must be \"owner\" or the name of a user, not a number, not \"0\""},
    {"Rule r", "open-as=-x", "the name of a user"},
    {"Rule r", "open-as=a b", "the name of a user"},
    {"Rule r", "modes=all", "must be some of exclusive, shared, read-only with \";\" between, not \"all\""},
    {"Rule r", "modes=", "must be some of exclusive, shared, read-only"},
    {"Rule r", "modes=sh\\ared", "must write a backslash twice"},
    {"Rule r", "readers=alone", "must be together or strict, not \"alone\""},
    {"Rule r", "check-interval=0", A_NUMBER_OF_SECONDS "\"0\""},
    {"Rule r", "check-interval=0.009", A_NUMBER_OF_SECONDS},
    {"Rule r", "check-interval=-5", A_NUMBER_OF_SECONDS},
    {"Rule r", "check-interval=5s", A_NUMBER_OF_SECONDS "\"5s\""},
    {"Rule r", "check-interval=1.2.3", A_NUMBER_OF_SECONDS},
    {"Rule r", "check-interval=.", A_NUMBER_OF_SECONDS},
    {"Rule r", "check-interval=", A_NUMBER_OF_SECONDS "\"\""},
    {"Rule r", "risk-timeout=86401", A_NUMBER_OF_SECONDS "\"86401\""},
    {"Rule r", "risk-timeout=0x10", A_NUMBER_OF_SECONDS},
    {"Rule r", "grace=inf", A_NUMBER_OF_SECONDS},
    {"Rule r", "grace=nan", A_NUMBER_OF_SECONDS},
    {"Rule r", "unreachable-after=1e3", A_NUMBER_OF_SECONDS},
    {"Rule r", "connection-grace=0", A_NUMBER_OF_SECONDS},
    {"Rule r", "unreachable-after=1,5", A_NUMBER_OF_SECONDS},
    {"Rule r", "on-break=reboot", "must be signal, pause, terminate, kill or exec, not \"reboot\""},
    {"Rule r", "on-break=exec", "on-break=exec runs a program: say with exec= which one"},
    {"Rule r", "on-break-allowed=reboot", "must be some of signal, pause, terminate, kill, exec"},
    {"Rule r", "on-break-allowed=signal;exec", "on-break-allowed= holds exec: say with exec= which program"},
    {"Rule r", "on-break-allowed=kill", "on-break=signal, the default, is not among on-break-allowed="},
    {"Rule r", "exec=fence", "must be an absolute path"},
    {"Rule r", "exec=", "must be an absolute path"},
    {"Limits", "leases-per-uid=0", "must be a whole number from 1 to 4294967294, not \"0\""},
    {"Limits", "leases-per-uid=", "must be a whole number"},
    {"Limits", "waiters-per-uid=-1", "must be a whole number"},
    {"Limits", "waiters-per-uid=many", "must be a whole number"},
    {"Limits", "questions-per-uid=0", "must be a whole number"},
    {"Limits", "leases=4294967295", "must be a whole number"},
    {"Limits", "leases=1.5", "must be a whole number"},
    {"Limits", "string-length=15", "must be a whole number of bytes from 16 to 65536, not \"15\""},
    {"Limits", "string-length=65537", "must be a whole number of bytes"},
    {"Host", "name=x", "there is no key name= in [Host]: there are id"},
    {"Limits", "readers=strict", "there is no key readers= in [Limits]: there are leases-per-uid, "},
    {"Rule r", "id=x", "there is no key id= in [Rule]: there are match-path, match-kind, "},
    {"Rule r", "just words", "\"just words\" is no key=value, no [section] and no comment"},
    {"Rule r", "; comment", "no comment, which begins with #"},
    {"Rule r", "=x", "\"=x\" is no key=value"},
    {"Rule r", "on-break[de]=kill", "is no key=value"},
    {"Rule r", "deny=\x01", "the line holds a control character"},
    {"Rule r", "deny=\xff", "the line is not valid UTF-8"},
};

static void
test_wrong_line_is_named_with_file_and_reason(gconstpointer data)
{
    const Wrong *wrong = data;
    g_autofree char *text = g_strdup_printf("[%s]\n\n%s\n", wrong->section, wrong->line);
    g_autofree char *mistakes = policy_mistakes(text, strlen(text));
    g_test_message("%s", mistakes);
    g_assert_true(g_str_has_prefix(mistakes, POLICY_NAME ":3: "));
    g_assert_nonnull(strstr(mistakes, wrong->reason));
    g_assert_null(strchr(mistakes, '\n'));
}

static void
test_every_mistake_is_named_in_the_order_of_the_lines(void)
{
    assert_policy_mistakes(
        "early=1\n"
        "[Rule a]\n"
        "on-break=exec\n"
        "oops\n"
        "deny=maybe\n"
        "[Rull b]\n"
        "anything=goes\n"
        "[Limits]\n"
        "leases=none\n",
        "test.conf:1: early= stands before the first section", "test.conf:3: on-break=exec runs a program",
        "test.conf:4: \"oops\" is no key=value", "test.conf:5: deny= must be true or false",
        "test.conf:6: there is no section [Rull]: there are [Rule NAME], [Host] and [Limits]",
        "test.conf:9: leases= must be a whole number", NULL);
}

static void
test_mistakes_of_all_files_are_named(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    dlk_policy_parser_add(parser, "b.conf", "x\n", 2);
    dlk_policy_parser_add_mistake(parser, "c.conf", 0, "cannot be read");
    dlk_policy_parser_add(parser, "a.conf", "\ny\n", 3);
    g_assert_cmpuint(dlk_policy_parser_mistakes(parser)->len, ==, 3);
    g_assert_null(dlk_policy_parser_finish(parser, &error));
    g_auto(GStrv) lines = g_strsplit(error->message, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_assert_true(g_str_has_prefix(lines[0], "b.conf:1: "));
    g_assert_cmpstr(lines[1], ==, "c.conf: cannot be read");
    g_assert_true(g_str_has_prefix(lines[2], "a.conf:2: "));
}

static void
test_broken_headers_are_mistakes_and_what_follows_is_not(void)
{
    assert_policy_mistakes(
        "[Rule a\ndeny=true\n[Rule b]]\n[]\n[Rule [c]]\n[\n", "test.conf:1: \"[Rule a\" is no section",
        "test.conf:3: \"[Rule b]]\" is no section", "test.conf:4: there is no section []",
        "test.conf:5: \"[Rule [c]]\" is no section", "test.conf:6: \"[\" is no section", NULL);
}

static void
test_names_of_sections_are_checked(void)
{
    g_autofree char *name = g_strnfill(65, 'a');
    g_autofree char *text =
        g_strdup_printf("[Rule]\n[Rule two words]\n[Rule no-rule]\n[Host here]\n[Rule %s]\n", name);
    assert_policy_mistakes(text, "test.conf:1: a rule needs a name: write [Rule NAME]",
                           "test.conf:2: \"two words\" is no name for a rule: 1 to 64 letters, digits",
                           "test.conf:3: no-rule is the name of the built-in rule",
                           "test.conf:4: [Host] has no name: write [Host]", "test.conf:5: \"aaaa", NULL);
}

static void
test_repeated_section_and_key_are_mistakes_that_name_the_first(void)
{
    assert_policy_mistakes(
        "[Rule a]\ndeny=true\ndeny=true\n[Rule b]\n[Rule a]\nreaders=x\n[Limits]\n[Limits]\n",
        "test.conf:3: deny= stands in line 2 already",
        "test.conf:5: section [Rule a] stands in line 1 already",
        "test.conf:6: readers= must be together or strict",
        "test.conf:8: section [Limits] stands in line 7 already", NULL);
}

static void
test_on_break_must_be_among_the_allowed(void)
{
    assert_policy_mistakes("[Rule a]\non-break-allowed=signal;pause\non-break=kill\n",
                           "test.conf:3: on-break=kill is not among on-break-allowed=", NULL);
    assert_policy_mistakes("[Rule a]\nexec=/bin/true\non-break=exec\non-break-allowed=signal\n",
                           "test.conf:3: on-break=exec is not among on-break-allowed=", NULL);
}

static void
test_a_wrong_on_break_has_no_second_mistake_behind_it(void)
{
    assert_policy_mistakes("[Rule a]\non-break=exec\nexec=relative\n",
                           "test.conf:3: exec= must be an absolute path", NULL);
}

static void
test_conditions_that_no_disk_meets_together_are_mistakes(void)
{
    assert_policy_mistakes("[Rule a]\nmatch-filesystem=nfs\nmatch-transport=scsi\n",
                           "test.conf:3: match-filesystem= and match-transport= never match together", NULL);
    assert_policy_mistakes(
        "[Rule a]\nmatch-kind=block\nmatch-filesystem=nfs\n",
        "test.conf:3: match-filesystem= never matches with this match-kind=, which must hold file", NULL);
    assert_policy_mistakes(
        "[Rule a]\nmatch-kind=file\nmatch-transport=scsi\n",
        "test.conf:3: match-transport= never matches with this match-kind=, which must hold block", NULL);
}

static void
test_nul_bytes_are_named_with_their_line(void)
{
    static const char text[] = "[Rule a]\nde\0ny=true\n";
    g_autofree char *mistakes = policy_mistakes(text, sizeof text - 1);
    g_assert_cmpstr(mistakes, ==, "test.conf:2: the line holds a NUL byte: a policy is plain UTF-8 text");
}

static void
test_overlong_file_is_one_mistake(void)
{
    g_autofree char *text = g_strnfill(1024 * 1024 + 1, '\n');
    assert_policy_mistakes(text, "test.conf: the file is longer than 1048576 bytes", NULL);
    text[1024 * 1024] = '\0';
    g_autoptr(DlkPolicy) policy = parse_policy(text);
    g_assert_cmpuint(policy->rules->len, ==, 0);
}

static void
test_a_file_of_nothing_but_mistakes_is_cut_and_says_so(void)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < 5000; i++)
        g_string_append(text, "x\n");
    g_autofree char *mistakes = policy_mistakes(text->str, text->len);
    g_string_free(text, TRUE);
    g_auto(GStrv) lines = g_strsplit(mistakes, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 1001);
    g_assert_cmpstr(lines[0], ==, "test.conf: the file has more than 1000 mistakes: these are the first");
    g_assert_true(g_str_has_prefix(lines[1000], "test.conf:1000: "));
}

static void
test_messages_show_hostile_values_printable_and_cut(void)
{
    g_autofree char *value = g_strnfill(5000, 'v');
    g_autofree char *text = g_strdup_printf("[Rule a]\nreaders=\\n%s\n", value);
    g_autofree char *mistakes = policy_mistakes(text, strlen(text));
    g_assert_cmpuint(strlen(mistakes), <, 300);
    g_assert_nonnull(strstr(mistakes, "\"\\x0avvv"));
    g_assert_nonnull(strstr(mistakes, "v…\""));
}

static void
test_a_mistake_in_what_is_overridden_is_still_named(void)
{
    g_autoptr(DlkPolicyParser) parser = dlk_policy_parser_new(policy_backends);
    dlk_policy_parser_add(parser, "etc", "[Rule a]\n[Limits]\nleases=5\n", 27);
    dlk_policy_parser_add(parser, "vendor", "[Rule a]\ndeny=x\n[Limits]\nleases=x\n", 34);
    GPtrArray *mistakes = dlk_policy_parser_mistakes(parser);
    g_assert_cmpuint(mistakes->len, ==, 2);
    g_assert_cmpuint(((DlkMistake *)mistakes->pdata[0])->line, ==, 2);
    g_assert_cmpuint(((DlkMistake *)mistakes->pdata[1])->line, ==, 4);
}

static void
add_wrong_values(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(wrongs); i++) {
        g_autofree char *line = dlk_text_printable(wrongs[i].line, 0);
        g_strdelimit(line, "/", '|');
        g_autofree char *path = g_strdup_printf("/policy-mistakes/[%s] %s", wrongs[i].section, line);
        g_test_add_data_func(path, &wrongs[i], test_wrong_line_is_named_with_file_and_reason);
    }
}

#define ADD(name) g_test_add_func("/policy-mistakes/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_wrong_values();
    ADD(every_mistake_is_named_in_the_order_of_the_lines);
    ADD(mistakes_of_all_files_are_named);
    ADD(broken_headers_are_mistakes_and_what_follows_is_not);
    ADD(names_of_sections_are_checked);
    ADD(repeated_section_and_key_are_mistakes_that_name_the_first);
    ADD(on_break_must_be_among_the_allowed);
    ADD(a_wrong_on_break_has_no_second_mistake_behind_it);
    ADD(conditions_that_no_disk_meets_together_are_mistakes);
    ADD(nul_bytes_are_named_with_their_line);
    ADD(overlong_file_is_one_mistake);
    ADD(a_file_of_nothing_but_mistakes_is_cut_and_says_so);
    ADD(messages_show_hostile_values_printable_and_cut);
    ADD(a_mistake_in_what_is_overridden_is_still_named);
    return g_test_run();
}
