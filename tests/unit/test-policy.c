#include "model/policy-keys.h"
#include "policy-fixture.h"

#define assert_rule(rule, expected) g_assert_cmpstr((rule)->name, ==, expected)

static void
test_a_new_rule_has_the_documented_defaults(void)
{
    g_autoptr(DlkRule) rule = dlk_rule_new("web");
    assert_rule(rule, "web");
    g_assert_true(dlk_rule_allows_backend(rule, "host"));
    g_assert_false(dlk_rule_allows_backend(rule, "fcntl"));
    g_assert_cmpint(rule->fallback, ==, DLK_FALLBACK_REFUSE);
    g_assert_cmpuint(rule->modes, ==, 7);
    g_assert_false(rule->strict_readers);
    g_assert_cmpint(rule->check_interval, ==, 10 * G_USEC_PER_SEC);
    g_assert_cmpint(rule->risk_timeout, ==, 60 * G_USEC_PER_SEC);
    g_assert_cmpint(rule->grace, ==, 10 * G_USEC_PER_SEC);
    g_assert_cmpint(rule->unreachable_after, ==, 10 * G_USEC_PER_SEC);
    g_assert_cmpint(rule->connection_grace, ==, 60 * G_USEC_PER_SEC);
    g_assert_cmpint(rule->on_break, ==, DLK_ON_BREAK_SIGNAL);
    g_assert_false(rule->on_break_allowed & 1u << DLK_ON_BREAK_EXEC);
    g_assert_false(rule->deny);
}

static void
test_a_rule_names_the_parts_of_its_combinations(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule a]\nbackend=scsi+fcntl;host\n");
    const DlkRule *rule = policy->rules->pdata[0];
    const char *const named[] = {"scsi", "fcntl", "host"};
    for (guint i = 0; i < G_N_ELEMENTS(named); i++)
        g_assert_true(dlk_rule_names_backend(rule, named[i]));
    g_assert_false(dlk_rule_names_backend(rule, "lockspace"));
    g_assert_false(dlk_rule_names_backend(rule, "scs"));
}

static void
test_a_rule_outlives_its_policy(void)
{
    DlkPolicy *policy = parse_policy("[Rule web]\n");
    g_autoptr(DlkRule) rule = dlk_rule_ref(policy->rules->pdata[0]);
    g_autoptr(DlkPolicy) other = dlk_policy_ref(policy);
    dlk_policy_unref(policy);
    g_clear_pointer(&other, dlk_policy_unref);
    assert_rule(rule, "web");
}

static void
test_what_no_rule_matches_is_denied(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule a]\nmatch-path=/srv/*\n");
    g_autoptr(DlkDisk) disk = file_disk("/home/web.img", "ext4");
    const DlkRule *rule = dlk_policy_match(policy, disk);
    assert_rule(rule, "no-rule");
    g_assert_true(rule->deny);
    g_assert_true(dlk_policy_match_early(policy, "/home/web.img", "ext4") == rule);
}

static void
test_the_first_rule_that_matches_counts(void)
{
    g_autoptr(DlkPolicy) policy =
        parse_policy("[Rule other]\nmatch-path=/home/*\n[Rule first]\nmatch-path=/srv/*\n"
                     "[Rule second]\nmatch-path=/srv/web.img\n");
    g_autoptr(DlkDisk) disk = file_disk("/srv/web.img", "ext4");
    assert_rule(dlk_policy_match(policy, disk), "first");
}

static void
test_a_star_crosses_slashes_and_leading_dots(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule a]\nmatch-path=/srv/*.img\n");
    g_autoptr(DlkDisk) deep = file_disk("/srv/a/.b/web.img", "ext4");
    g_autoptr(DlkDisk) outside = file_disk("/srvx/web.img", "ext4");
    assert_rule(dlk_policy_match(policy, deep), "a");
    assert_rule(dlk_policy_match(policy, outside), "no-rule");
}

static void
test_a_name_that_is_not_utf8_does_not_slip_past_a_denial(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule never]\nmatch-path=/srv/*\ndeny=true\n[Rule any]\n");
    g_autoptr(DlkDisk) disk = file_disk("/srv/w\xff\xc3.img", "ext4");
    assert_rule(dlk_policy_match(policy, disk), "never");
}

static void
test_every_condition_of_a_rule_must_be_met(void)
{
    g_autoptr(DlkPolicy) policy =
        parse_policy("[Rule a]\nmatch-path=/srv/*\nmatch-kind=file\nmatch-filesystem=nfs*\n");
    g_autoptr(DlkDisk) all = file_disk("/srv/web.img", "nfs4");
    g_autoptr(DlkDisk) other_path = file_disk("/home/web.img", "nfs4");
    g_autoptr(DlkDisk) other_filesystem = file_disk("/srv/web.img", "ext4");
    g_autoptr(DlkDisk) other_kind = block_disk("/srv/web.img", "scsi");
    assert_rule(dlk_policy_match(policy, all), "a");
    assert_rule(dlk_policy_match(policy, other_path), "no-rule");
    assert_rule(dlk_policy_match(policy, other_filesystem), "no-rule");
    assert_rule(dlk_policy_match(policy, other_kind), "no-rule");
}

static void
test_a_block_device_is_matched_by_its_other_names_too(void)
{
    static const char *const names[] = {"/dev/disk/by-id/wwn-0x5000", "/dev/disk/by-path/ip-10.0.0.1", NULL};
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule a]\nmatch-path=/dev/disk/by-path/*\n");
    g_autoptr(DlkDisk) disk = block_disk("/dev/sda", "scsi");
    assert_rule(dlk_policy_match(policy, disk), "no-rule");
    disk->names = g_strdupv((char **)names);
    assert_rule(dlk_policy_match(policy, disk), "a");
}

static void
test_transport_is_matched(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule a]\nmatch-transport=nvme;sc*\n");
    g_autoptr(DlkDisk) scsi = block_disk("/dev/sda", "scsi");
    g_autoptr(DlkDisk) loop = block_disk("/dev/loop0", "loop");
    assert_rule(dlk_policy_match(policy, scsi), "a");
    assert_rule(dlk_policy_match(policy, loop), "no-rule");
}

static void
test_what_is_not_known_of_a_disk_meets_no_condition_on_it(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule a]\nmatch-path=*\n[Rule b]\nmatch-transport=*\n"
                                               "[Rule c]\nmatch-filesystem=*\n[Rule d]\n");
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_BLOCK, "block:8:0");
    assert_rule(dlk_policy_match(policy, disk), "d");
}

static void
test_early_the_path_as_asked_for_decides(void)
{
    g_autoptr(DlkPolicy) policy =
        parse_policy("[Rule a]\nmatch-path=/srv/a/*\n[Rule b]\nmatch-path=/srv/*\n");
    assert_rule(dlk_policy_match_early(policy, "/srv/a/x", NULL), "a");
    assert_rule(dlk_policy_match_early(policy, "/srv/b/x", NULL), "b");
    assert_rule(dlk_policy_match_early(policy, "/home/x", NULL), "no-rule");
}

static void
test_early_the_filesystem_decides(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy("[Rule nfs]\nmatch-filesystem=nfs*\n[Rule rest]\n");
    assert_rule(dlk_policy_match_early(policy, "/srv/x", "nfs4"), "nfs");
    assert_rule(dlk_policy_match_early(policy, "/srv/x", "ext4"), "rest");
}

static void
test_early_what_is_not_known_may_yet_match(void)
{
    g_autoptr(DlkPolicy) policy =
        parse_policy("[Rule a]\nmatch-path=/srv/*\nmatch-filesystem=nfs*\nmatch-kind=file\n");
    assert_rule(dlk_policy_match_early(policy, NULL, NULL), "a");
    assert_rule(dlk_policy_match_early(policy, NULL, "nfs"), "a");
    assert_rule(dlk_policy_match_early(policy, "/srv/x", NULL), "a");
}

static void
test_early_rules_for_devices_count_where_devices_stand_only(void)
{
    g_autoptr(DlkPolicy) policy = parse_policy(
        "[Rule kind]\nmatch-kind=block\nmatch-path=*[0-9]\n[Rule transport]\nmatch-transport=scsi\n"
        "[Rule files]\nmatch-kind=file\n");
    assert_rule(dlk_policy_match_early(policy, "/dev/sda1", "devtmpfs"), "kind");
    assert_rule(dlk_policy_match_early(policy, "/dev/sda", "devtmpfs"), "transport");
    assert_rule(dlk_policy_match_early(policy, "/dev/sda", "tmpfs"), "transport");
    assert_rule(dlk_policy_match_early(policy, "/dev/sda", NULL), "transport");
    assert_rule(dlk_policy_match_early(policy, "/srv/1", "nfs4"), "files");
}

static void
test_root_has_no_bound_until_one_is_set(void)
{
    DlkLimits limits = {0};
    g_assert_cmpuint(dlk_limits_leases_for(&limits, 0), ==, G_MAXUINT);
    g_assert_cmpuint(dlk_limits_waiters_for(&limits, 0), ==, G_MAXUINT);
    limits.leases_per_uid = 3;
    limits.waiters_per_uid = 4;
    g_assert_cmpuint(dlk_limits_leases_for(&limits, 0), ==, 3);
    g_assert_cmpuint(dlk_limits_waiters_for(&limits, 0), ==, 4);
}

static void
test_other_users_have_the_default_bound_until_one_is_set(void)
{
    DlkLimits limits = {0};
    g_assert_cmpuint(dlk_limits_leases_for(&limits, 1000), ==, DLK_DEFAULT_LEASES_PER_UID);
    g_assert_cmpuint(dlk_limits_waiters_for(&limits, 1000), ==, DLK_DEFAULT_WAITERS_PER_UID);
    limits.leases_per_uid = 3;
    limits.waiters_per_uid = 4;
    g_assert_cmpuint(dlk_limits_leases_for(&limits, 1000), ==, 3);
    g_assert_cmpuint(dlk_limits_waiters_for(&limits, 1000), ==, 4);
}

static void
test_on_break_words_and_back(void)
{
    for (guint i = 0; i < DLK_N_ON_BREAKS; i++) {
        DlkOnBreak on_break = DLK_N_ON_BREAKS;
        g_assert_true(dlk_on_break_from_string(dlk_on_break_to_string(i), &on_break, NULL));
        g_assert_cmpuint(on_break, ==, i);
    }
}

static void
test_an_unknown_on_break_is_refused_by_name(void)
{
    g_autoptr(GError) error = NULL;
    DlkOnBreak on_break;
    g_assert_false(dlk_on_break_from_string("re\nboot", &on_break, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_cmpstr(error->message, ==,
                    "on-break is \"re\\x0aboot\"; it must be signal, pause, terminate, kill or exec");
}

/* Shipped: a disk, and the rule that the vendor's policy has for it. */
typedef struct {
    const char *path;
    const char *filesystem; /* %NULL: a block device */
    const char *rule;
    const char *backend;
} Shipped;

static const Shipped shipped[] = {
    {"/var/lib/libvirt/images/web.qcow2", "ext4", "local-files", "fcntl"},
    {"/home/user/web.img", "btrfs", "local-files", "fcntl"},
    {"/tmp/web.img", "tmpfs", "local-files", "fcntl"},
    {"/srv/web.img", "fuse.unknown", "local-files", "fcntl"},
    {"/srv/web.img", "nfs", "network-files", "fcntl"},
    {"/srv/web.img", "nfs4", "network-files", "fcntl"},
    {"/srv/web.img", "cifs", "network-files", "fcntl"},
    {"/srv/web.img", "gfs2", "network-files", "fcntl"},
    {"/srv/web.img", "ocfs2", "network-files", "fcntl"},
    {"/srv/web.img", "ceph", "network-files", "fcntl"},
    {"/srv/web.img", "fuse.glusterfs", "network-files", "fcntl"},
    {"/dev/sda", NULL, "block-devices", "host"},
    {"/dev/mapper/vg0-web", NULL, "block-devices", "host"},
    {"/dev/loop7", NULL, "block-devices", "host"},
};

static DlkPolicy *
load_shipped_policy(void)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(SOURCE_DIR "/data/disklock.conf", &text, NULL, &error);
    g_assert_no_error(error);
    return parse_policy(text);
}

static void
test_the_shipped_policy_has_the_right_rule_for_each_disk(void)
{
    g_autoptr(DlkPolicy) policy = load_shipped_policy();
    for (guint i = 0; i < G_N_ELEMENTS(shipped); i++) {
        const Shipped *row = &shipped[i];
        g_autoptr(DlkDisk) disk =
            row->filesystem ? file_disk(row->path, row->filesystem) : block_disk(row->path, NULL);
        const DlkRule *rule = dlk_policy_match(policy, disk);
        assert_rule(rule, row->rule);
        g_assert_cmpstr(rule->backends[0], ==, row->backend);
        g_assert_cmpint(rule->fallback, ==, DLK_FALLBACK_REFUSE);
        g_assert_false(rule->deny);
    }
}

static void
test_the_shipped_policy_has_a_rule_for_network_disks(void)
{
    g_autoptr(DlkPolicy) policy = load_shipped_policy();
    g_autoptr(DlkDisk) disk = dlk_disk_new(DLK_KIND_NETWORK, "network:rbd://mon/pool/image");
    const DlkRule *rule = dlk_policy_match(policy, disk);
    assert_rule(rule, "network-disks");
    g_assert_cmpstr(rule->backends[0], ==, "host");
}

static void
test_the_shipped_policy_knows_the_rule_of_most_paths_early(void)
{
    g_autoptr(DlkPolicy) policy = load_shipped_policy();
    assert_rule(dlk_policy_match_early(policy, "/srv/web.img", "nfs4"), "network-files");
    assert_rule(dlk_policy_match_early(policy, "/srv/web.img", "xfs"), "local-files");
    assert_rule(dlk_policy_match_early(policy, "/dev/sda", "devtmpfs"), "block-devices");
}

/* The sample stands in comments behind "# A sample", each line behind "#     ". */
static void
test_the_sample_in_the_shipped_policy_has_no_mistakes(void)
{
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(SOURCE_DIR "/data/disklock.conf", &text, NULL, NULL));
    const char *sample = strstr(text, "# A sample");
    g_assert_nonnull(sample);
    g_auto(GStrv) lines = g_strsplit(sample, "\n", -1);
    for (guint i = 1; lines[i]; i++) {
        g_assert_true(*lines[i] == '\0' || *lines[i] == '#');
        memset(lines[i], ' ', MIN(strlen(lines[i]), 1));
    }
    *lines[0] = '#';
    g_autofree char *uncommented = g_strjoinv("\n", lines);
    g_autoptr(DlkPolicy) policy = parse_policy(uncommented);
    g_assert_cmpuint(policy->rules->len, ==, 4);
    g_assert_cmpuint(policy->limits.leases_per_uid, ==, 50);
}

/* A key that the manual does not describe is a key that nobody can use. */
static void
test_the_manual_describes_every_key(void)
{
    g_autofree char *manual = NULL;
    g_assert_true(g_file_get_contents(SOURCE_DIR "/data/man/disklock.conf.5.rst", &manual, NULL, NULL));
    static const char *const sections[] = {"Host", "Rule", "Limits"};
    for (guint i = 0; i < G_N_ELEMENTS(sections); i++) {
        g_autofree char *list = dlk_policy_keys_list(sections[i]);
        g_auto(GStrv) keys = g_strsplit(list, ", ", -1);
        for (guint j = 0; keys[j]; j++) {
            g_autofree char *heading = g_strdup_printf("\n``%s=``\n", keys[j]);
            g_test_message("%s", keys[j]);
            g_assert_nonnull(strstr(manual, heading));
        }
    }
}

#define ADD(name) g_test_add_func("/policy/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(a_new_rule_has_the_documented_defaults);
    ADD(a_rule_names_the_parts_of_its_combinations);
    ADD(a_rule_outlives_its_policy);
    ADD(what_no_rule_matches_is_denied);
    ADD(the_first_rule_that_matches_counts);
    ADD(a_star_crosses_slashes_and_leading_dots);
    ADD(a_name_that_is_not_utf8_does_not_slip_past_a_denial);
    ADD(every_condition_of_a_rule_must_be_met);
    ADD(a_block_device_is_matched_by_its_other_names_too);
    ADD(transport_is_matched);
    ADD(what_is_not_known_of_a_disk_meets_no_condition_on_it);
    ADD(early_the_path_as_asked_for_decides);
    ADD(early_the_filesystem_decides);
    ADD(early_what_is_not_known_may_yet_match);
    ADD(early_rules_for_devices_count_where_devices_stand_only);
    ADD(root_has_no_bound_until_one_is_set);
    ADD(other_users_have_the_default_bound_until_one_is_set);
    ADD(on_break_words_and_back);
    ADD(an_unknown_on_break_is_refused_by_name);
    ADD(the_shipped_policy_has_the_right_rule_for_each_disk);
    ADD(the_shipped_policy_has_a_rule_for_network_disks);
    ADD(the_shipped_policy_knows_the_rule_of_most_paths_early);
    ADD(the_sample_in_the_shipped_policy_has_no_mistakes);
    ADD(the_manual_describes_every_key);
    return g_test_run();
}
