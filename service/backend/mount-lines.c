#include "backend/mount-lines.h"

#include <string.h>
#include <sys/sysmacros.h>

void
dlk_mount_line_free(DlkMountLine *self)
{
    g_free(self->point);
    g_free(self->filesystem);
    g_free(self->source);
    g_free(self->options);
    g_free(self);
}

char *
dlk_mount_lines_read(void)
{
    char *text = NULL;
    return g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL) ? text : g_strdup("");
}

/* Never a NUL: the kernel escapes none, and a name cannot hold one. */
char *
dlk_mount_line_unescape(const char *text)
{
    g_autofree char *plain = g_strdup(text);
    char *end = plain;
    for (const char *c = text; *c != '\0'; c++) {
        const gboolean escape = c[0] == '\\' && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' && c[2] <= '7' &&
                                c[3] >= '0' && c[3] <= '7';
        *end++ = (char)(escape ? (c[1] - '0') * 64 + (c[2] - '0') * 8 + (c[3] - '0') : *c);
        c += escape ? 3 : 0;
    }
    *end = '\0';
    return g_steal_pointer(&plain);
}

static gboolean
parse_device(const char *text, dev_t *device)
{
    g_auto(GStrv) numbers = g_strsplit(text, ":", 2);
    guint64 major_number = 0, minor_number = 0;
    if (g_strv_length(numbers) != 2 ||
        !g_ascii_string_to_unsigned(numbers[0], 10, 0, G_MAXUINT32, &major_number, NULL) ||
        !g_ascii_string_to_unsigned(numbers[1], 10, 0, G_MAXUINT32, &minor_number, NULL))
        return FALSE;
    *device = makedev((guint)major_number, (guint)minor_number);
    return TRUE;
}

/* id parent major:minor root point options [optional…] - type source options-of-the-filesystem */
DlkMountLine *
dlk_mount_line_parse(const char *line)
{
    g_auto(GStrv) field = g_strsplit(line, " ", -1);
    const guint count = g_strv_length(field);
    guint dash = 6;
    dev_t device = 0;
    while (dash < count && strcmp(field[dash], "-") != 0)
        dash++;
    if (dash + 3 >= count || !parse_device(field[2], &device))
        return NULL;
    g_auto(GStrv) options = g_strsplit(field[dash + 3], ",", -1);
    DlkMountLine *self = g_new0(DlkMountLine, 1);
    self->device = device;
    self->point = dlk_mount_line_unescape(field[4]);
    self->filesystem = dlk_mount_line_unescape(field[dash + 1]);
    self->source = dlk_mount_line_unescape(field[dash + 2]);
    self->options = dlk_mount_line_unescape(field[dash + 3]);
    self->read_only = g_strv_contains((const char *const *)options, "ro");
    return self;
}

GPtrArray *
dlk_mount_lines_parse(const char *mountinfo)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_mount_line_free);
    g_auto(GStrv) text = g_strsplit(mountinfo, "\n", -1);
    for (guint i = 0; text[i] != NULL; i++) {
        DlkMountLine *line = dlk_mount_line_parse(text[i]);
        if (line != NULL)
            g_ptr_array_add(lines, line);
    }
    return lines;
}

/* Is @path @point or below it? */
static gboolean
is_below(const char *path, const char *point)
{
    const size_t length = strcmp(point, "/") == 0 ? 0 : strlen(point);
    return strncmp(path, point, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

DlkMountLine *
dlk_mount_line_of_path(const char *mountinfo, const char *path)
{
    g_autoptr(GPtrArray) lines = dlk_mount_lines_parse(mountinfo);
    guint best = G_MAXUINT;
    size_t longest = 0;
    for (guint i = 0; i < lines->len; i++) {
        const DlkMountLine *line = lines->pdata[i];
        if (is_below(path, line->point) && strlen(line->point) >= longest) {
            longest = strlen(line->point);
            best = i;
        }
    }
    return best != G_MAXUINT ? g_ptr_array_steal_index(lines, best) : NULL;
}

gboolean
dlk_mount_line_is_remote(const DlkMountLine *self)
{
    static const char *const remote[] = {"nfs",   "nfs4", "cifs",   "smb3", "ceph", "afs",    "gfs2",
                                         "ocfs2", "9p",   "lustre", "gpfs", "fuse", "beegfs", NULL};
    return g_strv_contains(remote, self->filesystem) || g_str_has_prefix(self->filesystem, "fuse.");
}
