#include "base/error.h"
#include "model/network-disk.h"

#include <string.h>

/* What is written, and the one spelling that it stands for. */
static const struct {
    const char *uri, *id;
} spellings[] = {
    {"rbd://mon1/pool/image", "network:rbd://mon1/pool/image"},
    {"RBD://Mon1.Example/pool/image", "network:rbd://mon1.example/pool/image"},
    {"rbd://mon2:6789,mon1:6789/pool/image", "network:rbd://mon1,mon2/pool/image"},
    {"rbd://mon1,mon1/pool/image", "network:rbd://mon1/pool/image"},
    {"rbd:///pool/image", "network:rbd:///pool/image"},
    {"rbd://mon1/pool//./image", "network:rbd://mon1/pool/image"},
    {"nbd://host", "network:nbd://host"},
    {"nbd://host:10809/", "network:nbd://host"},
    {"nbd+tcp://host/export", "network:nbd://host/export"},
    {"nbds://host/export", "network:nbd://host/export"},
    {"nbd://host:10810/export", "network:nbd://host:10810/export"},
    {"nbd+unix:///export?socket=/run/nbd.sock", "network:nbd+unix:///export?socket=/run/nbd.sock"},
    {"iscsi://target.example:3260/iqn.2013-07.com.example:disk/1",
     "network:iscsi://target.example/iqn.2013-07.com.example:disk/1"},
    {"iscsi://target.example/iqn.2013-07.com.example:disk",
     "network:iscsi://target.example/iqn.2013-07.com.example:disk/0"},
    {"iser://target.example/iqn.2013-07.com.example:disk/1",
     "network:iscsi://target.example/iqn.2013-07.com.example:disk/1"},
    {"gluster+rdma://host:24007/volume/disk.img", "network:gluster://host/volume/disk.img"},
    {"http://host:80/disk.iso", "network:http://host/disk.iso"},
    {"http://host/disk.iso?version=2", "network:http://host/disk.iso?version=2"},
    {"https://host:443/disk.iso", "network:https://host/disk.iso"},
    {"ftp://host./a%7Eb%2fc", "network:ftp://host/a~b%2Fc"},
    {"ftps://host/disk.iso", "network:ftps://host/disk.iso"},
    {"tftp://host/disk.iso", "network:tftp://host/disk.iso"},
    {"ssh://user@host/disk.img?host_key_check=no", "network:ssh://host/disk.img"},
    {"nfs://host/export/disk.img?uid=1", "network:nfs://host/export/disk.img"},
    {"sheepdog://host:7000/disk", "network:sheepdog://host/disk"},
    {"vxhs://host:9999/eb90327c", "network:vxhs://host/eb90327c"},
    {"nbd://[FE80::1]:10809/x", "network:nbd://[fe80::1]/x"},
};

static void
test_every_spelling_is_one_disk(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(spellings); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkDisk) disk = dlk_identify_network(spellings[i].uri, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(disk->id, ==, spellings[i].id);
    }
}

static void
test_the_one_spelling_stands_for_itself(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(spellings); i++) {
        g_autoptr(DlkDisk) disk = dlk_identify_network(spellings[i].id + strlen("network:"), NULL);
        g_assert_nonnull(disk);
        g_assert_cmpstr(disk->id, ==, spellings[i].id);
    }
}

static void
test_network_disk_has_kind_label_and_lane(void)
{
    g_autoptr(DlkDisk) disk = dlk_identify_network("rbd://mon1/pool/image", NULL);
    g_assert_cmpint(disk->kind, ==, DLK_KIND_NETWORK);
    g_assert_cmpstr(dlk_disk_label(disk), ==, "rbd://mon1/pool/image");
    g_assert_cmpstr(disk->lane, ==, "network");
    g_assert_null(disk->ancestors);
}

static void
test_other_names_are_other_disks(void)
{
    static const char *const others[] = {"rbd://mon1/pool/image",   "rbd://mon1/pool/image2",
                                         "rbd://mon2/pool/image",   "rbd://mon1:3300/pool/image",
                                         "iscsi://mon1/pool/image", "rbd://mon1/pool/Image",
                                         "http://mon1/pool/image",  "https://mon1/pool/image"};
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        for (guint j = 0; j < i; j++) {
            g_autoptr(DlkDisk) a = dlk_identify_network(others[i], NULL);
            g_autoptr(DlkDisk) b = dlk_identify_network(others[j], NULL);
            g_assert_false(dlk_disk_overlaps(a, b));
        }
    }
}

static void
test_what_names_no_disk_is_refused(void)
{
    static const struct {
        const char *uri, *part;
    } bad[] = {
        {"rbd://mon1", "name of the disk is missing"},
        {"iscsi:///iqn.x/1", "host is missing"},
        {"nbd+unix:///export", "socket=/PATH"},
        {"nbd+unix:///export?socket=relative", "socket=/PATH"},
        {"http://host:0/x", "port"},
        {"http://host:65536/x", "port"},
        {"http://host:80x/x", "port"},
        {"http://ho st/x", "a host must be"},
        {"http://host,/x", "a host must be"},
        {"http://[::1/x", "a host must be"},
        {"http://host/%zz", "hexadecimal"},
        {"http://host/a%00b", "hexadecimal"},
        {"nfs://host/export/../other", "'..'"},
        {"nfs://host/export/%2e%2E/other", "'..'"},
        {"http://host/x#y", "'#'"},
        {"gopher://host/x", "no disk on the network"},
        {"http+carrier-pigeon://host/x", "no disk on the network"},
        {"/srv/disk.img", "no disk on the network"},
        {"http://host/a\nb", "clean text"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkDisk) disk = dlk_identify_network(bad[i].uri, &error);
        g_assert_null(disk);
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        if (strstr(error->message, bad[i].part) == NULL)
            g_error("%s: %s", bad[i].uri, error->message);
    }
}

static void
test_password_is_refused_and_not_repeated(void)
{
    static const char *const uris[] = {"ssh://user:secret@host/disk.img", "iscsi://user%secret@host/iqn.x/1",
                                       "ssh://user:secret@host", "http://user:secret@host/x#y"};
    for (guint i = 0; i < G_N_ELEMENTS(uris); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DlkDisk) disk = dlk_identify_network(uris[i], &error);
        g_assert_null(disk);
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        g_assert_nonnull(strstr(error->message, "password"));
        g_assert_null(strstr(error->message, "secret"));
    }
}

static void
test_endless_name_is_refused(void)
{
    g_autofree char *name = g_strnfill(5000, 'x');
    g_autofree char *uri = g_strconcat("http://host/", name, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkDisk) disk = dlk_identify_network(uri, &error);
    g_assert_null(disk);
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_cmpuint(strlen(error->message), <, 500);
}

static void
test_only_known_protocols_are_uris(void)
{
    g_assert_true(dlk_network_is_uri("rbd://mon1/pool/image"));
    g_assert_true(dlk_network_is_uri("NBD+unix:///x"));
    g_assert_false(dlk_network_is_uri("/srv/rbd://mon1"));
    g_assert_false(dlk_network_is_uri("file:///srv/disk.img"));
    g_assert_false(dlk_network_is_uri("rbd:pool/image"));
    g_assert_false(dlk_network_is_uri("://"));
    g_assert_false(dlk_network_is_uri(""));
}

#define ADD(name) g_test_add_func("/network-disk/" #name, test_##name)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD(every_spelling_is_one_disk);
    ADD(the_one_spelling_stands_for_itself);
    ADD(network_disk_has_kind_label_and_lane);
    ADD(other_names_are_other_disks);
    ADD(what_names_no_disk_is_refused);
    ADD(password_is_refused_and_not_repeated);
    ADD(endless_name_is_refused);
    ADD(only_known_protocols_are_uris);
    return g_test_run();
}
