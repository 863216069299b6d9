#pragma once

#include <glib.h>
#include <sys/types.h>

/**
 * DlkMountLine: a line of /proc/self/mountinfo as the backends need it. Unlike the table of the layer that
 * resolves paths it is read anew each time: whether a device is mounted is asked at the moment of locking.
 */
typedef struct {
    dev_t device;
    char *point;
    char *filesystem;
    char *source;
    char *options;      /* of the filesystem, with "," between */
    gboolean read_only; /* the filesystem, not only this mount of it */
} DlkMountLine;
void dlk_mount_line_free(DlkMountLine *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkMountLine, dlk_mount_line_free)

/** The whole text of /proc/self/mountinfo; "" where it cannot be read. */
char *dlk_mount_lines_read(void);
/** %NULL: the line is none. */
DlkMountLine *dlk_mount_line_parse(const char *line);
/** All lines of @mountinfo; of DlkMountLine. */
GPtrArray *dlk_mount_lines_parse(const char *mountinfo);
/** The line of the longest mount point above @path, the last of several; %NULL: none. Touches nothing. */
DlkMountLine *dlk_mount_line_of_path(const char *mountinfo, const char *path);
/** May it have to wait for a server, or for a process? */
gboolean dlk_mount_line_is_remote(const DlkMountLine *self);
/** Plain text of a name in /proc, where odd characters are written as \ooo. */
char *dlk_mount_line_unescape(const char *text);
