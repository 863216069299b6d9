#pragma once

#include <glib.h>

/** DlkScsiSense: why a target refused a command (SPC-4, 4.5). */
typedef struct {
    guint8 key;             /* 2 not ready, 5 illegal request, 6 unit attention, … */
    guint8 code, qualifier; /* ASC, ASCQ */
} DlkScsiSense;

#define DLK_SENSE_NOT_READY 0x2
#define DLK_SENSE_ILLEGAL_REQUEST 0x5
#define DLK_SENSE_UNIT_ATTENTION 0x6
#define DLK_SENSE_ABORTED_COMMAND 0xb
/* With an illegal request: a command, a field of it, or a field of its parameters that the target does not
 * know. */
#define DLK_ASC_INVALID_COMMAND 0x20
#define DLK_ASC_INVALID_FIELD 0x24
#define DLK_ASC_INVALID_PARAMETER 0x26

/** Reads @data, of fixed or descriptor format, which may be cut short anywhere. FALSE: it is no sense data.
 */
gboolean dlk_scsi_sense_read(const guint8 *data, gsize length, DlkScsiSense *sense);
