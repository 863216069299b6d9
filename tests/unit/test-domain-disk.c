#include "domain-fixture.h"

#define FILE_DISK "type='file' device='disk'"
#define FILE_SOURCE "<driver name='qemu' type='raw'/><source file='/a.img'/>"

static void
test_a_plain_disk_is_exclusive(void)
{
    assert_disk(FILE_DISK, FILE_SOURCE, "exclusive /a.img raw (disk vda)\n");
}

static void
test_a_readonly_disk_is_read_only(void)
{
    assert_disk(FILE_DISK, FILE_SOURCE "<readonly/>", "read-only /a.img raw (disk vda)\n");
    assert_disk(FILE_DISK, FILE_SOURCE "<readonly/><shareable/>", "read-only /a.img raw (disk vda)\n");
}

static void
test_a_cdrom_is_read_only_whatever_it_says(void)
{
    assert_disk("type='file' device='cdrom'", FILE_SOURCE, "read-only /a.img raw (disk vda)\n");
    assert_disk("type='file' device='cdrom'", FILE_SOURCE "<shareable/>",
                "read-only /a.img raw (disk vda)\n");
}

static void
test_a_shareable_disk_is_shared(void)
{
    assert_disk(FILE_DISK, FILE_SOURCE "<shareable/>", "shared /a.img raw (disk vda)\n");
}

static void
test_floppies_and_luns_are_exclusive(void)
{
    assert_disk("type='file' device='floppy'", FILE_SOURCE, "exclusive /a.img raw (disk vda)\n");
    assert_disk("type='block' device='lun'", "<source dev='/dev/sdb'/>",
                "exclusive /dev/sdb raw (disk vda)\n");
}

static void
test_only_a_transient_disk_that_shares_its_image_is_read_only(void)
{
    assert_disk(FILE_DISK, FILE_SOURCE "<transient/>", "exclusive /a.img raw (disk vda)\n");
    assert_disk(FILE_DISK, FILE_SOURCE "<transient shareBacking='yes'/>",
                "read-only /a.img raw (disk vda)\n");
}

static void
test_type_and_device_have_defaults(void)
{
    assert_disk("", "<source file='/a.img'/>", "exclusive /a.img raw (disk vda)\n");
}

static void
test_empty_drives_are_skipped(void)
{
    assert_disk("type='file' device='cdrom'", "", "");
    assert_disk("type='block' device='cdrom'", "<source startupPolicy='optional'/>", "");
    assert_disk("type='file' device='floppy'", "<source file=''/>", "");
    assert_disk("type='network' device='cdrom'", "", "");
}

static void
test_a_disk_without_source_is_refused(void)
{
    assert_disk(FILE_DISK, "", "error: line 3: disk vda: names no source\n");
    assert_disk("type='block' device='lun'", "", "error: line 3: disk vda: names no source\n");
}

static void
test_folders_are_skipped_unless_written_to(void)
{
    assert_disk("type='dir' device='floppy'", "<source dir='/f'/><readonly/>", "");
    assert_disk("type='dir' device='cdrom'", "<source dir='/f'/>", "");
    assert_disk(
        "type='dir' device='disk'", "<source dir='/f'/>",
        "error: line 3: disk vda: is a folder, which cannot be locked: QEMU reads it safely only as a "
        "<readonly/> disk\n");
}

static void
test_volumes_are_named_by_pool_and_name(void)
{
    assert_disk("type='volume' device='disk'", "<source pool='default' volume='web 01.qcow2'/>",
                "exclusive volume:///default/web%2001.qcow2 raw (disk vda)\n");
    assert_disk("type='volume' device='disk'", "<source pool='../etc' volume='passwd'/>",
                "error: line 3: disk vda: volume:///..%2Fetc/passwd names no volume of a storage pool: "
                "volume:///POOL/VOLUME would\n");
    assert_disk("type='volume' device='disk'", "<source pool='default'/>",
                "error: line 3: disk vda: volume:///default/ names no volume of a storage pool: "
                "volume:///POOL/VOLUME would\n");
}

static void
test_startup_policy_makes_a_disk_optional(void)
{
    assert_disk("type='file' device='cdrom'", "<source file='/a.iso' startupPolicy='optional'/>",
                "read-only /a.iso raw optional (disk vda)\n");
    assert_disk("type='file' device='cdrom'", "<source file='/a.iso' startupPolicy='requisite'/>",
                "read-only /a.iso raw optional (disk vda)\n");
    assert_disk("type='file' device='cdrom'", "<source file='/a.iso' startupPolicy='mandatory'/>",
                "read-only /a.iso raw (disk vda)\n");
}

static void
test_a_format_must_be_a_word(void)
{
    assert_disk(FILE_DISK, "<driver type='qcow2 '/><source file='/a'/>",
                "error: line 3: disk vda: has a format that is no name of one\n");
}

static void
test_disks_without_a_path_are_named_by_what_they_have(void)
{
    assert_disk("type='nvme'",
                "<source type='pci' managed='yes' namespace='1'>"
                "<address domain='0x0000' bus='0x0a' slot='0x1f' function='0x2'/></source>",
                "exclusive nvme:///0000:0a:1f.2/1 raw (disk vda)\n");
    assert_disk("type='vhostuser'", "<source type='unix' path='/run//vhost.sock'/>",
                "exclusive vhostuser:///run/vhost.sock raw (disk vda)\n");
    assert_disk("type='vhostvdpa'", "<source dev='/dev/vhost-vdpa-0'/>",
                "exclusive vhostvdpa:///dev/vhost-vdpa-0 raw (disk vda)\n");
}

static void
test_a_bad_pci_address_is_refused(void)
{
    assert_disk("type='nvme'", "<source type='pci' namespace='1'/>",
                "error: line 3: disk vda: its source has no PCI <address>\n");
    assert_disk("type='nvme'", "<source namespace='1'><address bus='0x100'/></source>",
                "error: line 3: disk vda: its address has no valid bus\n");
}

static void
test_unknown_types_and_devices_are_refused(void)
{
    assert_disk("type='ctl'", "<source dev='/dev/cam/ctl'/>",
                "error: line 3: disk vda: has the type “ctl”, which is not known\n");
    assert_disk("type='file' device='tape'", FILE_SOURCE,
                "error: line 3: disk vda: is the device “tape”, which is not known\n");
}

static void
test_paths_that_are_none_are_refused(void)
{
    g_autofree char *lengthy = g_strnfill(4095, 'a');
    g_autofree char *source = g_strdup_printf("<source file='/%s'/>", lengthy);
    assert_disk(FILE_DISK, "<source file='a.img'/>",
                "error: line 3: disk vda: the path “a.img” is not absolute\n");
    assert_disk(FILE_DISK, "<source file='/a&#10;b'/>",
                "error: line 3: disk vda: control characters in the path /a\\x0ab\n");
    assert_disk(FILE_DISK, "<source file='/a&#x9b;b'/>",
                "error: line 3: disk vda: control characters in the path /a\\xc2\\x9bb\n");
    assert_disk(FILE_DISK, source, "error: line 3: disk vda: its path has more than 4095 bytes\n");
}

static void
test_what_is_there_twice_is_refused(void)
{
    assert_disk(FILE_DISK, "<source file='/a'/><source file='/b'/>",
                "error: line 3: disk vda: has a second <source>\n");
    assert_disk(FILE_DISK, "<source file='/a'/><backingStore/><backingStore/>",
                "error: line 3: disk vda: has a second <backingStore>\n");
}

static void
test_elements_of_other_namespaces_are_not_libvirts(void)
{
    assert_disk(FILE_DISK, "<source file='/a'/><x:source xmlns:x='urn:x' file='/b'/>",
                "exclusive /a raw (disk vda)\n");
}

/* What the domain's <source> of protocol @protocol with @name and @hosts becomes. */
static void
assert_network(const char *protocol, const char *name, const char *hosts, const char *uri)
{
    g_autofree char *content =
        g_strdup_printf("<driver type='raw'/><source protocol='%s' %s>%s</source>", protocol, name, hosts);
    g_autofree char *expected = g_strdup_printf("exclusive %s raw (disk vda)\n", uri);
    assert_disk("type='network'", content, expected);
}

static void
test_network_disks_have_one_name(void)
{
    assert_network("rbd", "name='pool/image'", "<host name='Mon2'/><host name='mon1.' port='3300'/>",
                   "rbd://mon1:3300,mon2:6789/pool/image");
    assert_network("rbd", "name='pool/image'", "", "rbd:///pool/image");
    assert_network("nbd", "name='export'", "<host name='h' port='10809'/>", "nbd://h:10809/export");
    assert_network("nbd", "", "<host name='::1'/>", "nbd://[::1]:10809/");
    assert_network("nbd", "name='export'", "<host transport='unix' socket='/run//nbd.sock'/>",
                   "nbd+unix:///export?socket=/run/nbd.sock");
    assert_network("iscsi", "name='iqn.2013-07.com.Example:iscsi-nopool/2'", "<host name='h'/>",
                   "iscsi://h:3260/iqn.2013-07.com.example:iscsi-nopool/2");
    assert_network("iscsi", "name='iqn.2013-07.com.example:t'", "<host name='h'/>",
                   "iscsi://h:3260/iqn.2013-07.com.example:t/0");
    assert_network("gluster", "name='vol/image'",
                   "<host name='b' transport='tcp'/><host name='a' transport='rdma'/>",
                   "gluster://a:24007,b:24007/vol/image");
    assert_network("https", "name='/x.iso' query='a=1&amp;b=2'", "<host name='H'/>",
                   "https://h:443/x.iso?a=1&b=2");
    assert_network("http", "name='x.iso'", "<host name='h'/>", "http://h:80/x.iso");
    assert_network("ftp", "name='x y.iso'", "<host name='h'/>", "ftp://h:21/x%20y.iso");
    assert_network("gluster", "name='vol/image'", "<host name='a'/><host transport='unix' socket='/s'/>",
                   "gluster://a:24007/vol/image");
    assert_network("ftps", "name='x'", "<host name='h'/>", "ftps://h:990/x");
    assert_network("tftp", "name='x'", "<host name='h'/>", "tftp://h:69/x");
    assert_network("sheepdog", "name='vdi'", "", "sheepdog://localhost:7000/vdi");
    assert_network("ssh", "name='/x.img'", "<host name='h'/>", "ssh://h:22/x.img");
    assert_network("nfs", "name='/export/x.img'", "<host name='h'/>", "nfs://h:2049/export/x.img");
    assert_network("vxhs", "name='eb90327c-8302-4725-9e1b-4e85ed4dc251'", "<host name='h'/>",
                   "vxhs://h:9999/eb90327c-8302-4725-9e1b-4e85ed4dc251");
}

static void
test_credentials_are_no_part_of_a_name(void)
{
    assert_network("rbd", "name='pool/image'",
                   "<auth username='admin'><secret type='ceph' usage='x'/></auth>", "rbd:///pool/image");
}

static void
assert_network_refused(const char *source, const char *reason)
{
    g_autofree char *expected = g_strdup_printf("error: line 3: disk vda: %s\n", reason);
    assert_disk("type='network'", source, expected);
}

static void
test_network_disks_that_cannot_be_named_are_refused(void)
{
    assert_network_refused("<source protocol='gopher' name='x'><host name='h'/></source>",
                           "its source has the protocol “gopher”, which is not known");
    assert_network_refused("<source protocol='nbd' name='x'/>",
                           "its source names too few hosts, or too many, for nbd");
    assert_network_refused("<source protocol='http' name='x'><host name='a'/><host name='b'/></source>",
                           "its source names too few hosts, or too many, for http");
    assert_network_refused("<source protocol='rbd'/>", "its source has no name (rbd)");
    assert_network_refused("<source protocol='nbd'><host name='a/b'/></source>",
                           "its source is on “a/b”, which is no host");
    assert_network_refused("<source protocol='nbd'><host name='a' port='65536'/></source>",
                           "its source is on port “65536”, which is none");
    assert_network_refused("<source protocol='nbd'><host transport='unix' socket='nbd'/></source>",
                           "the path “nbd” is not absolute");
    assert_network_refused("<source protocol='rbd' name='a&#10;b'/>",
                           "control characters in the name of its source (rbd)");
}

#define TEST(name) g_test_add_func("/domain/disk/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(a_plain_disk_is_exclusive);
    TEST(a_readonly_disk_is_read_only);
    TEST(a_cdrom_is_read_only_whatever_it_says);
    TEST(a_shareable_disk_is_shared);
    TEST(floppies_and_luns_are_exclusive);
    TEST(only_a_transient_disk_that_shares_its_image_is_read_only);
    TEST(type_and_device_have_defaults);
    TEST(empty_drives_are_skipped);
    TEST(a_disk_without_source_is_refused);
    TEST(folders_are_skipped_unless_written_to);
    TEST(volumes_are_named_by_pool_and_name);
    TEST(startup_policy_makes_a_disk_optional);
    TEST(a_format_must_be_a_word);
    TEST(disks_without_a_path_are_named_by_what_they_have);
    TEST(a_bad_pci_address_is_refused);
    TEST(unknown_types_and_devices_are_refused);
    TEST(paths_that_are_none_are_refused);
    TEST(what_is_there_twice_is_refused);
    TEST(elements_of_other_namespaces_are_not_libvirts);
    TEST(network_disks_have_one_name);
    TEST(credentials_are_no_part_of_a_name);
    TEST(network_disks_that_cannot_be_named_are_refused);
    return g_test_run();
}
