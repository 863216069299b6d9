#include "base/error.h"
#include "model/storage-pool.h"

#include <string.h>

/* What the volume "web01" of the pool @xml is: a path, a URI, or "error: …". */
static void
assert_volume(const char *xml, const char *volume, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *located = dlk_storage_pool_locate(xml, strlen(xml), volume, &error);
    g_autofree char *found = located ? g_strdup(located) : g_strconcat("error: ", error->message, NULL);

    if (!located)
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_cmpstr(found, ==, expected);
}

#define POOL(type, inside) "<pool type='" type "'><name>p</name>" inside "</pool>"
#define TARGET(path) "<target><path>" path "</path></target>"

static void
test_volumes_of_folders_and_groups_lie_below_the_target(void)
{
    assert_volume(POOL("dir", TARGET("/images//vms")), "web01.qcow2", "/images/vms/web01.qcow2");
    assert_volume(POOL("netfs", TARGET("/mnt/nfs")), "web01.img", "/mnt/nfs/web01.img");
    assert_volume(POOL("logical", TARGET("/dev/vg0")), "web01", "/dev/vg0/web01");
}

static void
test_an_active_pool_is_read_from_its_state(void)
{
    assert_volume("<poolstate>" POOL("dir", TARGET("/images")) "</poolstate>", "a.img", "/images/a.img");
}

static void
test_partitions_are_named_as_the_kernel_does(void)
{
    assert_volume(POOL("disk", TARGET("/dev/disk/by-id")), "sdb1", "/dev/sdb1");
}

static void
test_volumes_of_clusters_are_network_disks(void)
{
    assert_volume(POOL("rbd", "<source><name>libvirt</name><host name='mon2' port='6789'/><host name='MON1'/>"
                              "</source>"),
                  "web01", "rbd://mon1:6789,mon2:6789/libvirt/web01");
    assert_volume(POOL("gluster", "<source><host name='g1'/><dir path='/vms'/><name>vol1</name></source>"),
                  "web01.img", "gluster://g1:24007/vol1/vms/web01.img");
}

static void
test_a_volume_cannot_leave_its_pool(void)
{
    assert_volume(
        POOL("dir", TARGET("/images")), "../shadow",
        "error: the volume's name is no file name: name the path that `virsh vol-path` prints instead");
    assert_volume(
        POOL("dir", TARGET("/images")), "a/b",
        "error: the volume's name is no file name: name the path that `virsh vol-path` prints instead");
}

static void
test_pools_that_libvirt_has_to_ask_are_refused_with_advice(void)
{
    assert_volume(POOL("iscsi", TARGET("/dev/disk/by-path")), "unit:0:0:1",
                  "error: libvirt alone can find the volumes of a pool of this type: name the path that "
                  "`virsh vol-path` prints instead");
}

static void
test_what_is_no_pool_is_refused(void)
{
    assert_volume("<domain type='dir'/>", "a",
                  "error: its description is not that of a pool: name the path that `virsh vol-path` prints "
                  "instead");
    assert_volume(POOL("dir", ""), "a",
                  "error: the pool has no target path: name the path that `virsh vol-path` prints instead");
    assert_volume(POOL("dir", TARGET("images")), "a", "error: the path “images/a” is not absolute");
    assert_volume(POOL("rbd", ""), "a",
                  "error: the pool has no source: name the path that `virsh vol-path` prints instead");
}

static void
assert_not_a_volume(const char *uri)
{
    g_autofree char *pool = NULL, *volume = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(dlk_volume_parse_uri(uri, &pool, &volume, &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_null(pool);
    g_assert_null(volume);
}

static void
test_names_of_volumes_are_read_as_they_were_made(void)
{
    g_autofree char *uri = dlk_volume_uri("my pool", "a/b%c"), *pool = NULL, *volume = NULL;

    g_assert_true(dlk_volume_is_uri(uri));
    g_assert_true(dlk_volume_parse_uri(uri, &pool, &volume, NULL));
    g_assert_cmpstr(pool, ==, "my pool");
    g_assert_cmpstr(volume, ==, "a/b%c");
    assert_not_a_volume("volume:///");
    assert_not_a_volume("volume:///pool");
    assert_not_a_volume("volume:///pool/");
    assert_not_a_volume("volume:///../x");
    assert_not_a_volume("volume:///a%2f..%2fb/x");
    assert_not_a_volume("volume:///pool/a%0ab");
    assert_not_a_volume("volume:///pool/a%00b");
    assert_not_a_volume("volume:///pool/%ff");
}

#define TEST(name) g_test_add_func("/storage-pool/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(volumes_of_folders_and_groups_lie_below_the_target);
    TEST(an_active_pool_is_read_from_its_state);
    TEST(partitions_are_named_as_the_kernel_does);
    TEST(volumes_of_clusters_are_network_disks);
    TEST(a_volume_cannot_leave_its_pool);
    TEST(pools_that_libvirt_has_to_ask_are_refused_with_advice);
    TEST(what_is_no_pool_is_refused);
    TEST(names_of_volumes_are_read_as_they_were_made);
    return g_test_run();
}
