#include "host/mounts.h"

#include "base/error.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MOUNTINFO "/proc/self/mountinfo"
/* A table that changes while it is read is read again, but not for ever. */
#define MAX_READS 8

typedef struct {
    DlkMount mount;
    guint64 parent;
    const char *point; /* mount.point; a key that is only looked up borrows another string */
} Entry;

struct _DlkMounts {
    GHashTable *by_id;    /* guint64 → Entry, owned */
    GHashTable *by_place; /* an Entry's parent and point → Entry: what is mounted there on that mount */
    GPtrArray *overlays;  /* of DlkMount, borrowed from by_id */
    Entry *root;
};

static void
entry_free(gpointer data)
{
    Entry *entry = data;
    g_free(entry->mount.point);
    g_free(entry->mount.root);
    g_free(entry->mount.filesystem);
    g_free(entry->mount.options);
    g_free(entry->mount.source);
    g_free(entry->mount.lane);
    g_free(entry);
}

static guint
place_hash(gconstpointer data)
{
    const Entry *entry = data;
    return g_str_hash(entry->point) ^ (guint)entry->parent * 2654435761u;
}

static gboolean
place_equal(gconstpointer a, gconstpointer b)
{
    const Entry *x = a, *y = b;
    return x->parent == y->parent && g_str_equal(x->point, y->point);
}

/* The kernel writes space, tab, newline and backslash as \ooo (proc_pid_mountinfo(5)). */
static char *
unescape(const char *text)
{
    char *plain = g_malloc(strlen(text) + 1), *end = plain;
    for (const char *c = text; *c != '\0'; c++) {
        gboolean is_escape = c[0] == '\\' && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' && c[2] <= '7' &&
                             c[3] >= '0' && c[3] <= '7';
        int byte = is_escape ? (c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0') : *c;
        if (byte == 0)
            continue;
        *end++ = (char)byte;
        c += is_escape ? 3 : 0;
    }
    *end = '\0';
    return plain;
}

static gboolean
parse_device(const char *text, dev_t *device)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", 3);
    guint64 major_number = 0, minor_number = 0;
    if (g_strv_length(parts) != 2 ||
        !g_ascii_string_to_unsigned(parts[0], 10, 0, G_MAXUINT32, &major_number, NULL) ||
        !g_ascii_string_to_unsigned(parts[1], 10, 0, G_MAXUINT32, &minor_number, NULL))
        return FALSE;
    *device = makedev((guint)major_number, (guint)minor_number);
    return TRUE;
}

/* id parent major:minor root point options [optional…] - type source options */
static Entry *
parse_line(const char *line)
{
    g_auto(GStrv) field = g_strsplit(line, " ", -1);
    guint count = g_strv_length(field), dash = 6;
    while (dash < count && !g_str_equal(field[dash], "-"))
        dash++;
    if (dash + 3 >= count || field[4][0] != '/')
        return NULL;

    guint64 id = 0, parent = 0;
    dev_t device = 0;
    if (!g_ascii_string_to_unsigned(field[0], 10, 0, G_MAXUINT64, &id, NULL) ||
        !g_ascii_string_to_unsigned(field[1], 10, 0, G_MAXUINT64, &parent, NULL) ||
        !parse_device(field[2], &device))
        return NULL;

    Entry *entry = g_new0(Entry, 1);
    entry->parent = parent;
    entry->mount = (DlkMount){.id = id,
                              .device = device,
                              .root = unescape(field[3]),
                              .point = unescape(field[4]),
                              .filesystem = unescape(field[dash + 1]),
                              .source = unescape(field[dash + 2]),
                              .options = g_strconcat(field[5], ",", field[dash + 3], NULL),
                              .lane = g_strdup(field[2])};
    entry->point = entry->mount.point;
    return entry;
}

static Entry *
mounted_on(const DlkMounts *self, const Entry *below, const char *point)
{
    Entry key = {.parent = below->mount.id, .point = point};
    Entry *entry = g_hash_table_lookup(self->by_place, &key);
    return entry != below ? entry : NULL; /* a root mount may be its own parent */
}

/* Follows what is mounted over @entry at the very same @point; bounded, because the text may be anything. */
static Entry *
topmost(const DlkMounts *self, Entry *entry, const char *point)
{
    guint left = g_hash_table_size(self->by_id);
    for (Entry *next = mounted_on(self, entry, point); next != NULL && left > 0; left--) {
        entry = next;
        next = mounted_on(self, entry, point);
    }
    return entry;
}

static void
add_entry(DlkMounts *self, Entry *entry)
{
    if (g_hash_table_contains(self->by_id, &entry->mount.id)) {
        entry_free(entry);
        return;
    }
    g_hash_table_insert(self->by_id, &entry->mount.id, entry);
    g_hash_table_replace(self->by_place, entry, entry);
    if (g_str_equal(entry->mount.filesystem, "overlay"))
        g_ptr_array_add(self->overlays, &entry->mount);
    gboolean is_root = g_str_equal(entry->point, "/");
    gboolean is_first_root = is_root && (self->root == NULL || !g_str_equal(self->root->point, "/") ||
                                         self->root->parent == entry->mount.id);
    if (self->root == NULL || is_first_root)
        self->root = entry;
}

DlkMounts *
dlk_mounts_parse(const char *text)
{
    DlkMounts *self = g_atomic_rc_box_new0(DlkMounts);
    self->by_id = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, entry_free);
    self->by_place = g_hash_table_new(place_hash, place_equal);
    self->overlays = g_ptr_array_new();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i] != NULL; i++) {
        Entry *entry = parse_line(lines[i]);
        if (entry != NULL)
            add_entry(self, entry);
    }
    return self;
}

DlkMounts *
dlk_mounts_ref(DlkMounts *self)
{
    return g_atomic_rc_box_acquire(self);
}

static void
clear(gpointer data)
{
    DlkMounts *self = data;
    g_ptr_array_unref(self->overlays);
    g_hash_table_unref(self->by_place);
    g_hash_table_unref(self->by_id);
}

void
dlk_mounts_unref(DlkMounts *self)
{
    g_atomic_rc_box_release_full(self, clear);
}

/*
 * From the root downwards, as the kernel walks: a longest prefix alone would find mounts that another one,
 * made later on a folder above, has covered.
 */
const DlkMount *
dlk_mounts_of_path(const DlkMounts *self, const char *path)
{
    if (self->root == NULL)
        return NULL;

    Entry *entry = topmost(self, self->root, "/");
    g_autofree char *prefix = g_strdup(path);
    char *end = prefix;
    while (end != NULL && end[0] != '\0') {
        end = strchr(end + 1, '/');
        if (end != NULL)
            *end = '\0';
        entry = topmost(self, entry, prefix);
        if (end != NULL)
            *end = '/';
    }
    return &entry->mount;
}

const DlkMount *
dlk_mounts_at(const DlkMounts *self, const char *path)
{
    const DlkMount *mount = dlk_mounts_of_path(self, path);
    return mount != NULL && g_str_equal(mount->point, path) ? mount : NULL;
}

const DlkMount *
dlk_mounts_by_id(const DlkMounts *self, guint64 id)
{
    Entry *entry = g_hash_table_lookup(self->by_id, &id);
    return entry != NULL ? &entry->mount : NULL;
}

GPtrArray *
dlk_mounts_overlays(const DlkMounts *self)
{
    return self->overlays;
}

struct _DlkMountTable {
    int fd;
    DlkMounts *mounts;
};

/* Asking takes the news away, so nobody but dlk_mount_table_get() may ask this descriptor. */
static gboolean
has_changed(DlkMountTable *self)
{
    struct pollfd polled = {.fd = self->fd, .events = POLLPRI};
    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLPRI | POLLERR)) != 0;
}

static gboolean
read_again(DlkMountTable *self, GError **error)
{
    g_autoptr(GString) text = g_string_sized_new(8192);
    char buffer[16384];
    ssize_t length = lseek(self->fd, 0, SEEK_SET);
    while (length >= 0 && (length = read(self->fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, length);
    if (length < 0)
        return dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "%s cannot be read", MOUNTINFO);
    g_clear_pointer(&self->mounts, dlk_mounts_unref);
    self->mounts = dlk_mounts_parse(text->str);
    return TRUE;
}

DlkMountTable *
dlk_mount_table_new(GMainContext *context, GError **error)
{
    dlk_autofd fd = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        dlk_set_error_errno(error, DLK_ERROR_BACKEND_FAILED, errno, "%s cannot be opened", MOUNTINFO);
        return NULL;
    }
    g_autoptr(DlkMountTable) self = g_new0(DlkMountTable, 1);
    self->fd = g_steal_fd(&fd);
    return read_again(self, error) ? g_steal_pointer(&self) : NULL;
}

void
dlk_mount_table_free(DlkMountTable *self)
{
    dlk_close_fd(&self->fd);
    g_clear_pointer(&self->mounts, dlk_mounts_unref);
    g_free(self);
}

DlkMounts *
dlk_mount_table_get(DlkMountTable *self)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = TRUE;
    for (guint reads = 0; ok && reads < MAX_READS && has_changed(self); reads++)
        ok = read_again(self, &error);
    if (!ok)
        g_warning("%s; the mounts as they were known before are used", error->message);
    return self->mounts;
}
