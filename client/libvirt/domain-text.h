#pragma once

#include <stdbool.h>

#define DLK_UUID_LENGTH 36

/** Is @text a UUID as libvirt writes it, and so a harmless name of a file? */
bool dlk_is_uuid(const char *text);

/**
 * What a hook needs of a domain's XML, without a parser of XML, which costs more than all the rest of a hook:
 * the domain's <uuid>; "" where it has none. False for what is no domain's XML, as far as can be seen from
 * its tags: disklockd reads it properly.
 */
bool dlk_domain_text_uuid(const char *xml, char uuid[DLK_UUID_LENGTH + 1]);
