#pragma once

#include <glib.h>
#include <string.h>

/* An image in memory, for whoever reads headers: unit tests and the fuzzer. */
typedef struct {
    const guint8 *bytes;
    gsize length;
} ImageMemory;

/* A DlkImageRead. */
static inline gssize
image_memory_read(gpointer image, guint64 offset, gpointer buffer, gsize length)
{
    const ImageMemory *memory = image;

    if (offset >= memory->length)
        return 0;
    const gsize count = MIN(length, memory->length - offset);
    memcpy(buffer, memory->bytes + offset, count);
    return (gssize)count;
}
