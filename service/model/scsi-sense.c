#include "model/scsi-sense.h"

enum {
    FIXED = 0x70,
    FIXED_DEFERRED = 0x71,
    DESCRIPTORS = 0x72,
    DESCRIPTORS_DEFERRED = 0x73
};

static guint8
byte(const guint8 *data, gsize length, gsize index)
{
    return index < length ? data[index] : 0;
}

gboolean
dlk_scsi_sense_read(const guint8 *data, gsize length, DlkScsiSense *sense)
{
    const guint8 format = byte(data, length, 0) & 0x7f;
    if (format == DESCRIPTORS || format == DESCRIPTORS_DEFERRED) {
        sense->key = byte(data, length, 1) & 0x0f;
        sense->code = byte(data, length, 2);
        sense->qualifier = byte(data, length, 3);
        return length > 1;
    }
    if (format != FIXED && format != FIXED_DEFERRED)
        return FALSE;
    sense->key = byte(data, length, 2) & 0x0f;
    sense->code = byte(data, length, 12);
    sense->qualifier = byte(data, length, 13);
    return length > 2;
}
