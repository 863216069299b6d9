#include "terminal.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Of the character of UTF-8 at @c; 0: that is none. */
static size_t
length_of(const unsigned char *c)
{
    const size_t length = *c < 0x80 ? 1 : *c < 0xc2 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : *c < 0xf5 ? 4 : 0;

    /* Longer than need be: a control character might hide in it. */
    if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xf0 && c[1] < 0x90))
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

size_t
dlk_terminal_show(const char *text, char shown[DLK_SHOWN_SIZE])
{
    const unsigned char *c = (const unsigned char *)text;
    const size_t length = length_of(c);
    /* A terminal that does not read UTF-8 is steered by the second byte of U+0080 to U+009F alone. */
    const bool steers = *c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0);

    if (length == 2 && steers)
        snprintf(shown, DLK_SHOWN_SIZE, "\\x%02x\\x%02x", c[0], c[1]);
    else if (length == 0 || steers)
        snprintf(shown, DLK_SHOWN_SIZE, "\\x%02x", *c);
    else {
        memcpy(shown, text, length);
        shown[length] = '\0';
    }
    return length > 0 ? length : 1;
}
