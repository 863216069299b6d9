#include "base/error.h"
#include "config.h"
#include "host/policy-files.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const backends[] = {"fcntl", "host", NULL};

#define ETC_MAIN POLICY_DIR "/disklock.conf"
#define ETC_DROP_INS POLICY_DIR "/disklock.conf.d"
#define VENDOR_MAIN VENDOR_POLICY_DIR "/disklock.conf"
#define VENDOR_DROP_INS VENDOR_POLICY_DIR "/disklock.conf.d"

/* Fixture: a system of its own below a temporary folder. */
typedef struct {
    char *root;
} Fixture;

static void
set_up(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    self->root = g_dir_make_tmp("disklock-policy-XXXXXX", &error);
    g_assert_no_error(error);
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    return remove(path);
}

static void
tear_down(Fixture *self, gconstpointer data)
{
    g_assert_cmpint(nftw(self->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
    g_free(self->root);
}

static char *
path_of(const Fixture *self, const char *path)
{
    return g_build_filename(self->root, path, NULL);
}

/* The path of @name in the fixture, its folder made. */
static char *
prepare(const Fixture *self, const char *name)
{
    char *path = path_of(self, name);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    return path;
}

static void
write_file(const Fixture *self, const char *name, const char *text)
{
    g_autofree char *path = prepare(self, name);
    g_autoptr(GError) error = NULL;
    g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, &error);
    g_assert_no_error(error);
    g_assert_cmpint(chmod(path, 0644), ==, 0);
}

static void
link_to(const Fixture *self, const char *name, const char *target)
{
    g_autofree char *path = prepare(self, name);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

/* The names of the rules that the fixture's system has, in the order in which they are tried. */
static char *
load_rules(const Fixture *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkPolicy) policy = dlk_policy_files_load(NULL, self->root, backends, &error);
    g_assert_no_error(error);
    GString *names = g_string_new(NULL);
    for (guint i = 0; i < policy->rules->len; i++) {
        const DlkRule *rule = policy->rules->pdata[i];
        g_string_append_printf(names, "%s%s", i > 0 ? " " : "", rule->name);
    }
    return g_string_free(names, FALSE);
}

static void
assert_rules(const Fixture *self, const char *expected)
{
    g_autofree char *rules = load_rules(self);
    g_assert_cmpstr(rules, ==, expected);
}

/* Loading the fixture's system fails with one mistake: in @name, for a reason that holds @reason. */
static void
assert_mistake(const Fixture *self, const char *name, const char *reason)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_of(self, name);
    g_autofree char *prefix = g_strconcat(path, ":", NULL);
    g_assert_null(dlk_policy_files_load(NULL, self->root, backends, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BAD_POLICY);
    g_test_message("%s", error->message);
    g_assert_true(g_str_has_prefix(error->message, prefix));
    g_assert_nonnull(strstr(error->message, reason));
    g_assert_null(strchr(error->message, '\n'));
}

static void
test_no_file_at_all_is_a_policy_without_rules(Fixture *self, gconstpointer data)
{
    assert_rules(self, "");
}

static void
test_files_are_read_in_the_order_of_their_precedence(Fixture *self, gconstpointer data)
{
    write_file(self, VENDOR_MAIN, "[Rule vendor]\n");
    write_file(self, VENDOR_DROP_INS "/10-c.conf", "[Rule vendor-drop-in]\n");
    write_file(self, ETC_MAIN, "[Rule etc]\n");
    write_file(self, ETC_DROP_INS "/20-b.conf", "[Rule b]\n");
    write_file(self, ETC_DROP_INS "/10-a.conf", "[Rule a]\n");
    assert_rules(self, "a b etc vendor-drop-in vendor");
}

static void
test_a_rule_of_etc_replaces_the_vendors_of_the_same_name(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    write_file(self, VENDOR_MAIN, "[Rule web]\nreaders=strict\n");
    write_file(self, ETC_MAIN, "[Rule web]\ndeny=true\n");
    g_autoptr(DlkPolicy) policy = dlk_policy_files_load(NULL, self->root, backends, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(policy->rules->len, ==, 1);
    g_assert_true(((DlkRule *)policy->rules->pdata[0])->deny);
    g_assert_false(((DlkRule *)policy->rules->pdata[0])->strict_readers);
}

static void
test_a_drop_in_of_etc_masks_the_vendors_of_the_same_name(Fixture *self, gconstpointer data)
{
    write_file(self, VENDOR_DROP_INS "/10-a.conf", "[Rule masked]\nand a mistake\n");
    write_file(self, VENDOR_DROP_INS "/20-b.conf", "[Rule b]\n");
    write_file(self, ETC_DROP_INS "/10-a.conf", "[Rule a]\n");
    assert_rules(self, "a b");
}

static void
test_a_link_to_dev_null_masks_and_says_nothing(Fixture *self, gconstpointer data)
{
    write_file(self, VENDOR_DROP_INS "/10-a.conf", "[Rule masked]\n");
    link_to(self, ETC_DROP_INS "/10-a.conf", "/dev/null");
    assert_rules(self, "");
}

static void
test_hidden_files_and_other_suffixes_are_no_drop_ins(Fixture *self, gconstpointer data)
{
    write_file(self, ETC_DROP_INS "/.hidden.conf", "x\n");
    write_file(self, ETC_DROP_INS "/a.conf~", "x\n");
    write_file(self, ETC_DROP_INS "/a.conf.dpkg-old", "x\n");
    write_file(self, ETC_DROP_INS "/README", "x\n");
    assert_rules(self, "");
}

static void
test_mistakes_of_all_files_are_listed_with_their_names(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    write_file(self, VENDOR_MAIN, "\nx\n");
    write_file(self, ETC_MAIN, "x\n");
    g_autofree char *etc = path_of(self, ETC_MAIN ":1: ");
    g_autofree char *vendor = path_of(self, VENDOR_MAIN ":2: ");
    g_assert_null(dlk_policy_files_load(NULL, self->root, backends, &error));
    g_assert_true(g_str_has_prefix(error->message, etc));
    g_assert_nonnull(strstr(error->message, vendor));
}

static void
test_a_file_of_another_user_is_refused(Fixture *self, gconstpointer data)
{
    write_file(self, ETC_MAIN, "[Rule web]\n");
    g_autofree char *path = path_of(self, ETC_MAIN);
    g_assert_cmpint(chown(path, 1000, (gid_t)-1), ==, 0);
    assert_mistake(self, ETC_MAIN, "belongs to uid 1000, who could change it");
    g_assert_cmpint(chown(path, 0, (gid_t)-1), ==, 0);
    assert_rules(self, "web");
}

static void
test_a_file_that_others_can_write_is_refused(Fixture *self, gconstpointer data)
{
    write_file(self, ETC_MAIN, "[Rule web]\n");
    g_autofree char *path = path_of(self, ETC_MAIN);
    g_assert_cmpint(chmod(path, 0664), ==, 0);
    assert_mistake(self, ETC_MAIN, "can be written by its group: a policy names programs to run");
    g_assert_cmpint(chmod(path, 0646), ==, 0);
    assert_mistake(self, ETC_MAIN, "can be written by everybody");
    g_assert_cmpint(chmod(path, 0644), ==, 0);
    assert_rules(self, "web");
}

static void
test_a_fifo_is_refused_at_once(Fixture *self, gconstpointer data)
{
    g_autofree char *path = prepare(self, ETC_DROP_INS "/a.conf");
    g_assert_cmpint(mkfifo(path, 0644), ==, 0);
    assert_mistake(self, ETC_DROP_INS "/a.conf", "is not a regular file");
}

static void
test_a_folder_is_refused(Fixture *self, gconstpointer data)
{
    g_autofree char *path = prepare(self, ETC_MAIN);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    assert_mistake(self, ETC_MAIN, "is not a regular file");
}

static void
test_a_link_that_leads_nowhere_is_a_mistake(Fixture *self, gconstpointer data)
{
    link_to(self, ETC_MAIN, "missing");
    assert_mistake(self, ETC_MAIN, "cannot be read: ");
}

static void
test_a_drop_in_folder_that_is_none_is_a_mistake(Fixture *self, gconstpointer data)
{
    write_file(self, ETC_DROP_INS, "x\n");
    assert_mistake(self, ETC_DROP_INS, "Not a directory");
}

static void
test_an_endless_file_is_refused(Fixture *self, gconstpointer data)
{
    write_file(self, ETC_MAIN, "");
    g_autofree char *path = path_of(self, ETC_MAIN);
    g_assert_cmpint(truncate(path, G_GINT64_CONSTANT(1) << 40), ==, 0);
    assert_mistake(self, ETC_MAIN, "is longer than 1048576 bytes");
}

static void
test_a_file_that_is_named_is_the_whole_policy(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    write_file(self, ETC_MAIN, "[Rule etc]\n");
    write_file(self, "mine.conf", "[Rule mine]\n");
    g_autofree char *path = path_of(self, "mine.conf");
    g_autoptr(DlkPolicy) policy = dlk_policy_files_load(path, self->root, backends, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(policy->rules->len, ==, 1);
    g_assert_cmpstr(((DlkRule *)policy->rules->pdata[0])->name, ==, "mine");
}

static void
test_a_file_that_is_named_must_be_there(Fixture *self, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = path_of(self, "missing.conf");
    g_autofree char *prefix = g_strconcat(path, ": cannot be read: ", NULL);
    g_assert_null(dlk_policy_files_load(path, NULL, backends, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BAD_POLICY);
    g_assert_true(g_str_has_prefix(error->message, prefix));
}

#define ADD(name) g_test_add("/policy-files/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(no_file_at_all_is_a_policy_without_rules);
    ADD(files_are_read_in_the_order_of_their_precedence);
    ADD(a_rule_of_etc_replaces_the_vendors_of_the_same_name);
    ADD(a_drop_in_of_etc_masks_the_vendors_of_the_same_name);
    ADD(a_link_to_dev_null_masks_and_says_nothing);
    ADD(hidden_files_and_other_suffixes_are_no_drop_ins);
    ADD(mistakes_of_all_files_are_listed_with_their_names);
    ADD(a_file_of_another_user_is_refused);
    ADD(a_file_that_others_can_write_is_refused);
    ADD(a_fifo_is_refused_at_once);
    ADD(a_folder_is_refused);
    ADD(a_link_that_leads_nowhere_is_a_mistake);
    ADD(a_drop_in_folder_that_is_none_is_a_mistake);
    ADD(an_endless_file_is_refused);
    ADD(a_file_that_is_named_is_the_whole_policy);
    ADD(a_file_that_is_named_must_be_there);
    return g_test_run();
}
