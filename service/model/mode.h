#pragma once

#include <glib.h>

/** DlkMode: what libvirt's <disk>, <disk><shareable/> and <disk><readonly/> mean. */
typedef enum {
    DLK_MODE_EXCLUSIVE, /* read-write, nobody else */
    DLK_MODE_SHARED,    /* read-write together with others who said shared */
    DLK_MODE_READ_ONLY,
    DLK_N_MODES
} DlkMode;

/** DLK_ERROR_INVALID_ARGS for anything but "exclusive", "shared", "read-only". */
gboolean dlk_mode_from_string(const char *text, DlkMode *mode, GError **error);
const char *dlk_mode_to_string(DlkMode mode);
/** For sentences: "exclusively", "shared", "read-only". */
const char *dlk_mode_adverb(DlkMode mode);
gboolean dlk_mode_writes(DlkMode mode);

/**
 * dlk_mode_conflicts: may @a and @b not stand together on one disk?
 * @strict: the rule says readers=strict, so that readers tolerate no writer.
 */
gboolean dlk_mode_conflicts(DlkMode a, DlkMode b, gboolean strict);
