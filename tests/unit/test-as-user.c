#include "base/as-user.h"
#include "base/fd.h"
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534
#define STRANGER 54321 /* has no name on this host */

typedef struct {
    Scratch scratch;
    char *path;
    int fd; /* O_PATH */
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    scratch_init(&f->scratch);
    f->path = scratch_file(&f->scratch, "disk.img");
    f->fd = open(f->path, O_PATH | O_CLOEXEC);
    g_assert_cmpint(f->fd, >=, 0);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    dlk_close_fd(&f->fd);
    g_free(f->path);
    scratch_clear(&f->scratch);
}

static void
give_to(Fixture *f, uid_t uid, mode_t mode)
{
    g_assert_cmpint(chown(f->path, uid, uid), ==, 0);
    g_assert_cmpint(chmod(f->path, mode), ==, 0);
}

static void
assert_opens(Fixture *f, const char *user, int flags)
{
    dlk_autofd fd = dlk_as_user_reopen(user, f->fd, flags);
    g_assert_cmpint(fd, >=, 0);
}

static void
assert_denied(Fixture *f, const char *user, int flags)
{
    dlk_autofd fd = dlk_as_user_reopen(user, f->fd, flags);
    g_assert_cmpint(fd, <, 0);
    g_assert_cmpint(errno, ==, EACCES);
}

static void
test_owner_opens_what_is_his(Fixture *f, gconstpointer data)
{
    const uid_t owners[] = {0, NOBODY, STRANGER};
    for (guint i = 0; i < G_N_ELEMENTS(owners); i++) {
        give_to(f, owners[i], 0600);
        assert_opens(f, "owner", O_RDWR);
    }
}

static void
test_owner_has_no_more_than_his_rights(Fixture *f, gconstpointer data)
{
    give_to(f, STRANGER, 0400);
    assert_opens(f, "owner", O_RDONLY);
    assert_denied(f, "owner", O_RDWR);
}

static void
test_user_does_not_open_what_is_roots(Fixture *f, gconstpointer data)
{
    give_to(f, 0, 0600);
    assert_denied(f, "nobody", O_RDONLY);
    assert_opens(f, NULL, O_RDWR);
}

static void
test_user_does_not_have_roots_groups(Fixture *f, gconstpointer data)
{
    give_to(f, 0, 0640);
    assert_denied(f, "nobody", O_RDONLY);
}

/* Groups that come while they are counted, so many times. */
static guint late_groups;

int __real_getgrouplist(const char *user, gid_t group, gid_t *groups, int *count);
int __wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *count);
int
__wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
    if (late_groups == 0)
        return __real_getgrouplist(user, group, groups, count);
    late_groups--;
    (*count)++;
    return -1;
}

/* What is not known of his groups is never root's group. */
static void
test_user_with_more_groups_than_were_counted_has_only_his_own(Fixture *f, gconstpointer data)
{
    give_to(f, 0, 0640);
    for (guint late = 0; late < 5; late++) {
        late_groups = late;
        assert_denied(f, "nobody", O_RDONLY);
        g_assert_cmpuint(late_groups, ==, 0);
    }
    give_to(f, NOBODY, 0600);
    late_groups = 3;
    assert_opens(f, "nobody", O_RDWR);
    late_groups = G_MAXUINT;
    assert_denied(f, "nobody", O_RDWR);
    g_assert_false(dlk_as_user_is_known("nobody"));
    late_groups = 0;
}

static void
test_unknown_user_is_nobody(Fixture *f, gconstpointer data)
{
    assert_denied(f, "no-such-user-here", O_RDONLY);
    g_assert_false(dlk_as_user_is_known("no-such-user-here"));
    g_assert_true(dlk_as_user_is_known("owner"));
    g_assert_true(dlk_as_user_is_known("nobody"));
}

static void
test_callers_own_rights_are_untouched(Fixture *f, gconstpointer data)
{
    give_to(f, STRANGER, 0600);
    assert_opens(f, "owner", O_RDWR);
    g_assert_cmpint(setfsuid((uid_t)-1), ==, 0);
    g_assert_cmpint(setfsgid((gid_t)-1), ==, 0);
    give_to(f, NOBODY, 0);
    assert_opens(f, NULL, O_RDWR);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/as-user/" #name, Fixture, NULL, set_up, test_##name, tear_down)
    ADD(owner_opens_what_is_his);
    ADD(owner_has_no_more_than_his_rights);
    ADD(user_does_not_open_what_is_roots);
    ADD(user_does_not_have_roots_groups);
    ADD(user_with_more_groups_than_were_counted_has_only_his_own);
    ADD(unknown_user_is_nobody);
    ADD(callers_own_rights_are_untouched);
    return g_test_run();
}
