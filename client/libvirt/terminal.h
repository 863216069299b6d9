#pragma once

#include <stddef.h>

/* A name on its way to a terminal may have anything in it: what would steer that is written out. */

#define DLK_SHOWN_SIZE 9 /* two bytes, written out */

/**
 * Writes the first character of @text, which is not empty, to @shown; or in its place "\x9b" and the like,
 * where it is a control character or no UTF-8. Returns how many bytes of @text that was. Allocates nothing.
 */
size_t dlk_terminal_show(const char *text, char shown[DLK_SHOWN_SIZE]);
