#pragma once

#include <glib.h>

/*
 * Commands to a SCSI device by SG_IO, for which linux/pr.h has no call. It takes CAP_SYS_RAWIO, and a
 * descriptor open for reading is enough. May block as long as the kernel tries: worker threads.
 *
 * What stands in the way is said by the error's code:
 * DLK_ERROR_BUSY: reservation conflict; DLK_ERROR_UNSUPPORTED: the device does not know the command, or not
 * all of it; DLK_ERROR_UNREACHABLE: no answer by this path; DLK_ERROR_BACKEND_FAILED: anything else.
 */

/** A command and what goes with it. */
typedef struct {
    const guint8 *command;
    guint8 command_length;
    gboolean to_device; /* which way @data goes */
    guint8 *data;
    guint data_length;
} DlkScsiCommand;

/**
 * Unit attentions, which tell of something that happened before, are eaten, and the command repeated.
 * @name: of the device, for messages. @transferred (out, nullable): bytes of data.
 */
gboolean dlk_scsi_command_run(int fd, const char *name, const DlkScsiCommand *command, guint *transferred,
                              GError **error);
