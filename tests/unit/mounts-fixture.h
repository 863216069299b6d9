#pragma once

/* What the backends find mounted: the program is linked with --wrap=dlk_mount_lines_read. */

#include "backend/mount-lines.h"

static const char
    *mounted_options; /* of a mount of version 3 of NFS at /, which hides all; %NULL: as it is */
static const char *mounted_filesystem = "nfs"; /* in the place of which another one may be said */

char *__real_dlk_mount_lines_read(void);
char *__wrap_dlk_mount_lines_read(void);
char *
__wrap_dlk_mount_lines_read(void)
{
    return mounted_options != NULL
               ? g_strdup_printf("36 1 0:42 / / rw,relatime - %s server:/export rw,vers=3,%s\n",
                                 mounted_filesystem, mounted_options)
               : __real_dlk_mount_lines_read();
}
