#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
dlk_close_descriptor(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

char *
dlk_format_list(const char *format, va_list arguments)
{
    char *text = NULL;

    if (vasprintf(&text, format, arguments) < 0)
        abort();
    return text;
}

char *
dlk_format(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *text = dlk_format_list(format, arguments);
    va_end(arguments);
    return text;
}

char *
dlk_copy(const char *text)
{
    return dlk_format("%s", text);
}

void *
dlk_allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

void *
dlk_grow(void *array, size_t count, size_t size)
{
    void *grown = reallocarray(array, count + 1, size);

    if (!grown)
        abort();
    memset((char *)grown + count * size, 0, size);
    return grown;
}

void
dlk_strings_add(DlkStrings *self, const char *text)
{
    self->items = dlk_grow(self->items, self->count, sizeof *self->items);
    self->items[self->count++] = dlk_copy(text);
}

bool
dlk_strings_has(const DlkStrings *self, const char *text)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->items[i], text) == 0)
            return true;
    return false;
}

void
dlk_strings_remove(DlkStrings *self, const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->items[i], text) == 0)
            free(self->items[i]);
        else
            self->items[count++] = self->items[i];
    self->count = count;
}

void
dlk_strings_clear(DlkStrings *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->items[i]);
    free(self->items);
    *self = (DlkStrings){0};
}

char *
dlk_escape_uri(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *escaped = dlk_allocate(strlen(text) * 3 + 1);
    char *end = escaped;

    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x80 && (isalnum(*c) || strchr("-._~", *c))) {
            *end++ = (char)*c;
            continue;
        }
        *end++ = '%';
        *end++ = digits[*c >> 4];
        *end++ = digits[*c & 15];
    }
    return escaped;
}
