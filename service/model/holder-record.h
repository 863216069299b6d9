#pragma once

#include "model/holder.h"

/*
 * The line by which a host tells others that it holds a disk, in a lock file or an extended attribute:
 *
 *   disklock-holder 1 host=alpha name=node7 owner=web01 lease=0123… mode=exclusive since=1766000000000000 …
 * sum=…
 *
 * Words with one space between; what a value may not show is written %NN, as in a URI. A reader of version 1
 * passes over keys that it does not know. The checksum (the first 64 bits of the SHA-256 of all before "
 * sum=", in hex) tells a whole record from a torn one, and nothing more: whoever may write there can make it
 * up.
 */
#define DLK_HOLDER_RECORD_MAX 1024 /* bytes, the line's end included */

/** The line, with "\n"; an owner's name that would make it too long is cut. @key: as in DlkHolder. */
char *dlk_holder_record_format(const DlkHolder *holder, DlkMode mode, guint64 key);
/** %NULL: these @length bytes, which may be anything, are no such line. Not confirmed. */
DlkHolder *dlk_holder_record_parse(const char *text, gsize length);
