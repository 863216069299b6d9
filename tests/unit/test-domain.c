#include "domain-fixture.h"

static void
test_firmware_is_read_and_its_variables_are_written(void)
{
    assert_domain("<os><loader readonly='yes' type='pflash'>/fw/CODE.fd</loader>"
                  "<nvram template='/fw/VARS.fd'>/nvram/web01.fd</nvram></os>",
                  "",
                  "read-only /fw/CODE.fd raw (loader)\n"
                  "exclusive /nvram/web01.fd raw optional (nvram)\n"
                  "read-only /fw/VARS.fd raw optional (nvram template)\n");
    assert_domain("<os><loader readonly='no' type='pflash' format='qcow2'>/fw/ALL.fd</loader></os>", "",
                  "exclusive /fw/ALL.fd qcow2 (loader)\n");
    assert_domain("<os><loader type='rom'>/usr/lib/xen/boot/hvmloader</loader></os>", "",
                  "read-only /usr/lib/xen/boot/hvmloader raw (loader)\n");
}

static void
test_nvram_has_a_source_like_a_disk(void)
{
    assert_domain("<os><nvram type='block' format='qcow2'><source dev='/dev/vg/nvram'/></nvram></os>", "",
                  "exclusive /dev/vg/nvram qcow2 optional (nvram)\n");
    assert_domain("<os><nvram type='network'><source protocol='iscsi' name='iqn.x:y/0'><host "
                  "name='h'/></source></nvram></os>",
                  "", "exclusive iscsi://h:3260/iqn.x:y/0 raw optional (nvram)\n");
    assert_domain("<os><varstore path='/nvram/web01.json' template='/fw/vars.json'/></os>", "",
                  "exclusive /nvram/web01.json raw optional (variable store)\n"
                  "read-only /fw/vars.json raw optional (nvram template)\n");
}

static void
test_firmware_that_libvirt_chooses_names_nothing(void)
{
    assert_domain("<os firmware='efi'><loader secure='yes'/><nvram/></os>", "", "");
}

static void
test_what_is_read_once_at_the_start_is_not_taken(void)
{
    assert_domain("<os><kernel>/vmlinuz</kernel><initrd>/initrd</initrd><dtb>/dtb</dtb></os>"
                  "<bootloader>/usr/bin/pygrub</bootloader>",
                  "", "");
}

static void
test_tpm_state_is_exclusive(void)
{
    assert_devices("<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
                   "exclusive swtpm:///var/lib/libvirt/swtpm/" DOMAIN_UUID " ? (TPM state)\n");
    assert_devices("<tpm><backend type='emulator'><source type='dir' path='/tpm//web01'/></backend></tpm>",
                   "exclusive swtpm:///tpm/web01 ? (TPM state)\n");
    assert_devices("<tpm><backend type='emulator'><source type='file' path='/tpm/web01'/></backend></tpm>",
                   "exclusive /tpm/web01 raw optional (TPM state)\n");
}

static void
test_the_uuid_of_tpm_state_is_canonical(void)
{
    const char *xml = "<domain type='kvm'><uuid>4DEA22B31D52D8F32516782E98AB3FA0</uuid><devices>"
                      "<tpm><backend type='emulator'/></tpm></devices></domain>";
    g_autofree char *text = describe_domain(xml, strlen(xml));
    g_assert_cmpstr(text, ==, "exclusive swtpm:///var/lib/libvirt/swtpm/" DOMAIN_UUID " ? (TPM state)\n");
    assert_refused("<domain type='kvm'><devices><tpm><backend type='emulator'/></tpm></devices></domain>",
                   "the XML has no <uuid>");
    assert_refused("<domain type='kvm'><uuid>../../etc</uuid><devices/></domain>", "<uuid> is no UUID");
}

static void
test_a_tpm_that_others_keep_is_not_taken(void)
{
    assert_devices("<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>", "");
    assert_devices(
        "<tpm><backend type='external'><source type='unix' mode='connect' path='/run/tpm'/></backend></tpm>",
        "");
}

static void
test_leases_are_exclusive(void)
{
    assert_devices("<lease><lockspace>some where</lockspace><key>a/b</key><target path='/leases' "
                   "offset='1024'/></lease>",
                   "exclusive lease:///some%20where/a%2Fb ? (lease a/b)\n");
    assert_devices("<lease><key>k</key><target path='/leases'/></lease>",
                   "exclusive lease:///%2Fleases/k ? (lease k)\n");
}

static void
test_incomplete_leases_are_refused(void)
{
    assert_devices("<lease><target path='/leases'/></lease>", "error: line 3: lease: has no <key>\n");
    assert_devices("<lease><key>k</key></lease>", "error: line 3: lease k: has no <target path=…>\n");
    assert_devices("<lease><key>k</key><target path='leases'/></lease>",
                   "error: line 3: lease k: the path “leases” is not absolute\n");
}

static void
test_scsi_units_of_the_host_are_taken(void)
{
    assert_devices("<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host2'/>"
                   "<address bus='0' target='3' unit='1'/></source><shareable/></hostdev>",
                   "shared scsi:///scsi_host2/0:3:1 ? (host device)\n");
    assert_devices(
        "<hostdev mode='subsystem' type='scsi'><source protocol='iscsi' name='iqn.x:y/1'><host name='h'/>"
        "</source><readonly/></hostdev>",
        "read-only iscsi://h:3260/iqn.x:y/1 ? (host device)\n");
    assert_devices(
        "<hostdev mode='subsystem' type='scsi_host'><source protocol='vhost' wwpn='naa.5123456789abcde0'/>"
        "</hostdev>",
        "exclusive vhost-scsi:///naa.5123456789abcde0 ? (host device)\n");
}

static void
test_other_host_devices_are_no_disks(void)
{
    assert_devices("<hostdev mode='subsystem' type='pci'><source><address bus='1'/></source></hostdev>"
                   "<hostdev mode='subsystem' type='usb'/>",
                   "");
}

static void
test_persistent_memory_is_taken(void)
{
    assert_devices(
        "<memory model='nvdimm'><source><path>/pmem</path></source><target/></memory>"
        "<memory model='nvdimm'><source><path>/ro</path></source><target><readonly/></target></memory>"
        "<memory model='virtio-pmem'><source><path>/dev/dax0.0</path></source></memory>"
        "<memory model='dimm'><target/></memory><pstore backend='acpi-erst'><path>/erst</path></pstore>",
        "exclusive /pmem raw (persistent memory)\n"
        "read-only /ro raw (persistent memory)\n"
        "exclusive dax:///dev/dax0.0 ? (persistent memory)\n"
        "exclusive /erst raw optional (crash record store)\n");
}

static void
test_drives_on_qemus_command_line_are_refused(void)
{
#define COMMAND_LINE(value)                                                                                  \
    "<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>\n<devices/><q:commandline>\n"  \
    "<q:arg value='" value "'/></q:commandline></domain>"
    assert_refused(COMMAND_LINE("-drive"), "line 3: QEMU command line: -drive adds a drive");
    assert_refused(COMMAND_LINE("--blockdev"), "-blockdev adds a drive");
    const char *harmless = COMMAND_LINE("-device");
    g_autofree char *text = describe_domain(harmless, strlen(harmless));
    g_assert_cmpstr(text, ==, "");
}

static void
test_xen_domains_are_domains(void)
{
    const char *xml = "<domain type='xen'><devices><disk type='block' device='disk'><driver name='phy'/>"
                      "<source dev='/dev/vg/guest'/><target dev='xvda' bus='xen'/></disk></devices></domain>";
    g_autofree char *text = describe_domain(xml, strlen(xml));
    g_assert_cmpstr(text, ==, "exclusive /dev/vg/guest raw (disk xvda)\n");
}

static void
test_other_hypervisors_are_refused(void)
{
    assert_refused("<domain type='lxc'/>", "line 1: domain XML: the type “lxc” is none of qemu, kvm and xen");
    assert_refused("<domain/>", "the type “” is none of");
}

static void
test_what_is_no_domain_is_refused(void)
{
    assert_refused("", "line 1: domain XML: ");
    assert_refused("hello", "line 1: domain XML: ");
    assert_refused("<network/>", "line 1: domain XML: begins with <network>, not with <domain>");
    assert_refused("<domain type='kvm'>\n<devices>", "line 2: domain XML: ");
    assert_refused("<domain type='kvm'>\n&secret;</domain>",
                   "line 2: domain XML: Entity 'secret' not defined");
}

static void
test_document_types_are_refused_before_they_matter(void)
{
    assert_refused("<!DOCTYPE domain><domain type='kvm'/>", "has a document type");
    assert_refused("<!DOCTYPE d [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain type='kvm'>&a;</domain>",
                   "has a document type");
    assert_refused("<!DOCTYPE d [<!ENTITY a 'aa'><!ENTITY b '&a;&a;&a;'>]><domain type='&b;'/>",
                   "has a document type");
}

static void
test_bytes_behind_nul_are_no_xml(void)
{
    static const char xml[] = "<domain type='kvm'/>\0<domain/>";
    g_autofree char *text = describe_domain(xml, sizeof xml - 1);
    g_assert_cmpstr(text, ==, "error: line 1: domain XML: has a NUL byte\n");
}

static void
test_size_is_bounded(void)
{
    g_autofree char *xml = g_strnfill(DLK_DOMAIN_MAX_BYTES + 1, ' ');
    assert_refused(xml, "has 4194305 bytes, more than 4194304");
}

/* @count times @text. */
static char *
repeat(const char *text, guint count)
{
    GString *all = g_string_new(NULL);
    for (guint i = 0; i < count; i++)
        g_string_append(all, text);
    return g_string_free(all, FALSE);
}

static void
test_depth_is_bounded(void)
{
    g_autofree char *open = repeat("<a>", 63), *close = repeat("</a>", 63);
    g_autofree char *fits = g_strdup_printf("<domain type='kvm'>%s%s</domain>", open, close);
    g_autofree char *text = describe_domain(fits, strlen(fits));
    g_assert_cmpstr(text, ==, "");
    g_autofree char *deep = g_strdup_printf("<domain type='kvm'>%s<a/>%s</domain>", open, close);
    assert_refused(deep, "elements are nested more than 64 deep");
    g_autofree char *bottomless = repeat("<a>", 100000);
    assert_refused(bottomless, "domain XML");
}

static void
test_the_number_of_disks_is_bounded(void)
{
    g_autofree char *most = repeat("<disk><source file='/a'/></disk>", DLK_DOMAIN_MAX_DISKS);
    g_autofree char *xml = domain_with("", most);
    g_autoptr(GPtrArray) disks = dlk_domain_parse(xml, strlen(xml), NULL);
    g_assert_cmpuint(disks->len, ==, DLK_DOMAIN_MAX_DISKS);
    g_autofree char *more = g_strconcat(most, "<disk><source file='/a'/></disk>", NULL);
    g_autofree char *too_many = domain_with("", more);
    assert_refused(too_many, "line 3: disk 1025: the domain has more than 1024 disks");
}

static void
test_lines_are_told_beyond_sixteen_bits(void)
{
    g_autofree char *lines = g_strnfill(70000, '\n');
    g_autofree char *devices = g_strconcat(lines, "<disk/>", NULL);
    assert_devices(devices, "error: line 70003: disk 1: names no source\n");
}

#define TEST(name) g_test_add_func("/domain/whole/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(firmware_is_read_and_its_variables_are_written);
    TEST(nvram_has_a_source_like_a_disk);
    TEST(firmware_that_libvirt_chooses_names_nothing);
    TEST(what_is_read_once_at_the_start_is_not_taken);
    TEST(tpm_state_is_exclusive);
    TEST(the_uuid_of_tpm_state_is_canonical);
    TEST(a_tpm_that_others_keep_is_not_taken);
    TEST(leases_are_exclusive);
    TEST(incomplete_leases_are_refused);
    TEST(scsi_units_of_the_host_are_taken);
    TEST(other_host_devices_are_no_disks);
    TEST(persistent_memory_is_taken);
    TEST(drives_on_qemus_command_line_are_refused);
    TEST(xen_domains_are_domains);
    TEST(other_hypervisors_are_refused);
    TEST(what_is_no_domain_is_refused);
    TEST(document_types_are_refused_before_they_matter);
    TEST(bytes_behind_nul_are_no_xml);
    TEST(size_is_bounded);
    TEST(depth_is_bounded);
    TEST(the_number_of_disks_is_bounded);
    TEST(lines_are_told_beyond_sixteen_bits);
    return g_test_run();
}
