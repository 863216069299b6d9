#pragma once

#include "base/error.h"
#include "model/domain.h"
#include "model/network-disk.h"
#include "model/storage-pool.h"

#include <string.h>

/* Every name that is no path has to be one that a disk can be known by, or a volume, which has a path. */
static inline void
assert_has_identity(const char *name)
{
    g_autoptr(GError) error = NULL;
    const gboolean has_path = name[0] == '/' || dlk_volume_is_uri(name);
    g_autoptr(DlkDisk) disk = has_path ? NULL : dlk_identify_network(name, &error);
    g_assert_no_error(error);
    g_assert_true(disk || has_path);
}

/* "exclusive /a.qcow2 qcow2 chain data optional (disk vda)", one line a disk; or "error: …", ended by a
 * newline. */
static inline char *
describe_domain(const char *xml, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = dlk_domain_parse(xml, length, &error);
    if (!disks) {
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        return g_strdup_printf("error: %s\n", error->message);
    }
    g_assert_no_error(error);
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < disks->len; i++) {
        const DlkDomainDisk *disk = disks->pdata[i];
        assert_has_identity(disk->path);
        g_string_append_printf(text, "%s %s %s%s%s%s (%s)\n", dlk_mode_to_string(disk->mode), disk->path,
                               disk->format ? disk->format : "?", disk->probe_chain ? " chain" : "",
                               disk->probe_data_file ? " data" : "", disk->optional ? " optional" : "",
                               disk->element);
    }
    return g_string_free(text, FALSE);
}

#define DOMAIN_UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

/* A whole domain around @devices and, in front of them, @os. */
static inline char *
domain_with(const char *os, const char *devices)
{
    return g_strdup_printf("<domain type='kvm'>\n<name>web01</name><uuid>" DOMAIN_UUID
                           "</uuid>\n%s<devices>%s</devices></domain>",
                           os, devices);
}

static inline void
assert_domain(const char *os, const char *devices, const char *expected)
{
    g_autofree char *xml = domain_with(os, devices);
    g_autofree char *text = describe_domain(xml, strlen(xml));
    g_assert_cmpstr(text, ==, expected);
}

static inline void
assert_devices(const char *devices, const char *expected)
{
    assert_domain("", devices, expected);
}

/* One <disk> with @attributes and @content around the target vda. */
static inline void
assert_disk(const char *attributes, const char *content, const char *expected)
{
    g_autofree char *disk = g_strdup_printf("<disk %s>%s<target dev='vda'/></disk>", attributes, content);
    assert_devices(disk, expected);
}

static inline void
assert_refused(const char *xml, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(dlk_domain_parse(xml, strlen(xml), &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_nonnull(strstr(error->message, expected));
}
