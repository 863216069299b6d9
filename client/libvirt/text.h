#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/*
 * The plugin runs in libvirtd and in the forked child that becomes QEMU, where other threads' locks may be
 * held for ever: so libc alone, whose malloc() outlives a fork, and not GLib.
 */

static inline void
dlk_free_pointer(void *pointer)
{
    free(*(void **)pointer);
}
#define DLK_AUTOFREE __attribute__((cleanup(dlk_free_pointer)))

void dlk_close_descriptor(const int *fd);
#define DLK_AUTOCLOSE __attribute__((cleanup(dlk_close_descriptor)))

/** As printf(3) into new memory; never %NULL: without memory the process ends, as libvirt itself does. */
char *dlk_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *dlk_format_list(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
char *dlk_copy(const char *text);
void *dlk_allocate(size_t size);
/** An array of @count elements of @size bytes that has room for one more. */
void *dlk_grow(void *array, size_t count, size_t size);

/** DlkStrings: any number of them. */
typedef struct {
    char **items;
    size_t count;
} DlkStrings;

/** Adds a copy of @text. */
void dlk_strings_add(DlkStrings *self, const char *text);
bool dlk_strings_has(const DlkStrings *self, const char *text);
/** Removes every copy of @text. */
void dlk_strings_remove(DlkStrings *self, const char *text);
void dlk_strings_clear(DlkStrings *self);
#define DLK_AUTOSTRINGS __attribute__((cleanup(dlk_strings_clear))) DlkStrings

/** As g_uri_escape_string() of GLib with nothing more allowed: "%2F" for a slash. */
char *dlk_escape_uri(const char *text);
