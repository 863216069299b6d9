#include "base/lock-reach.h"

#include <glib.h>
#include <string.h>

static void
assert_reaches_other_hosts(const char *filesystem, const char *options)
{
    g_autofree char *limit = dlk_lock_reach_limit(filesystem, options);
    g_assert_cmpstr(limit, ==, NULL);
}

static void
assert_limited(const char *filesystem, const char *options, const char *because)
{
    g_autofree char *limit = dlk_lock_reach_limit(filesystem, options);
    g_assert_nonnull(limit);
    if (strstr(limit, because) == NULL)
        g_error("\"%s\" does not say \"%s\"", limit, because);
}

static void
test_shared_filesystems_reach_other_hosts(void)
{
    assert_reaches_other_hosts("nfs4", "rw,relatime,rw,vers=4.2,local_lock=none");
    assert_reaches_other_hosts("nfs", "rw,rw,vers=3,local_lock=none");
    assert_reaches_other_hosts("nfs", "rw,rw,vers=3,local_lock=flock");
    assert_reaches_other_hosts("cifs", "rw,rw,vers=3.1.1");
    assert_reaches_other_hosts("gfs2", "rw,rw");
    assert_reaches_other_hosts("ocfs2", "rw,rw,cluster_stack=pcmk");
    assert_reaches_other_hosts("fuse.glusterfs", "rw,rw");
}

static void
test_options_that_keep_locks_here_are_named(void)
{
    assert_limited("nfs", "rw,rw,vers=3,nolock,local_lock=all", "nolock");
    assert_limited("nfs", "rw,rw,vers=3,local_lock=posix", "local_lock=posix");
    assert_limited("cifs", "rw,rw,nobrl", "nobrl");
    assert_limited("gfs2", "rw,rw,localflocks", "localflocks");
    assert_limited("ocfs2", "rw,rw", "cluster stack");
    assert_limited("ocfs2", "rw,rw,cluster_stack=o2cb", "cluster stack");
}

static void
test_an_option_is_the_whole_word(void)
{
    assert_reaches_other_hosts("nfs", "rw,rw,vers=3,nolockx,local_lock=none");
}

static void
test_other_filesystems_are_not_known_to_reach_further(void)
{
    const char *const others[] = {"ext4", "xfs", "fuse.sshfs", "fuse", "9p", "beegfs", "overlay", "nfs5"};
    for (guint i = 0; i < G_N_ELEMENTS(others); i++)
        assert_limited(others[i], "rw,rw", others[i]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/lock-reach/" #name, test_##name)
    ADD(shared_filesystems_reach_other_hosts);
    ADD(options_that_keep_locks_here_are_named);
    ADD(an_option_is_the_whole_word);
    ADD(other_filesystems_are_not_known_to_reach_further);
    return g_test_run();
}
