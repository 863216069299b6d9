#include "model/policy-text.h"

#include "base/text.h"
#include "model/mistake.h"

#include <string.h>

/* How much of a wrong line a message repeats. */
#define SHOWN_BYTES 64

/* Reader: what has been seen of the file so far. */
typedef struct {
    const char *file;
    guint line;
    GPtrArray *mistakes;
    GPtrArray *sections;
    GHashTable *seen;          /* "Rule web" → its section */
    DlkPolicySection *current; /* borrowed; %NULL before the first header */
    gboolean skipping;         /* a broken header: what follows has no home, which is not its own mistake */
} Reader;

static void
entry_free(gpointer data)
{
    DlkPolicyEntry *self = data;
    g_free(self->key);
    g_free(self);
}

static DlkPolicySection *
section_new(const char *kind, const char *name, guint line)
{
    DlkPolicySection *self = g_new0(DlkPolicySection, 1);
    self->kind = g_strdup(kind);
    self->name = g_strdup(name);
    self->line = line;
    self->entries = g_ptr_array_new_with_free_func(entry_free);
    self->values = g_key_file_new();
    return self;
}

static void
section_free(gpointer data)
{
    DlkPolicySection *self = data;
    g_free(self->kind);
    g_free(self->name);
    g_ptr_array_unref(self->entries);
    g_key_file_unref(self->values);
    g_free(self);
}

DlkPolicyEntry *
dlk_policy_section_find(const DlkPolicySection *self, const char *key)
{
    for (guint i = 0; i < self->entries->len; i++) {
        DlkPolicyEntry *entry = self->entries->pdata[i];
        if (g_str_equal(entry->key, key))
            return entry;
    }
    return NULL;
}

static void G_GNUC_PRINTF(2, 3) report(Reader *reader, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    dlk_mistakes_add(reader->mistakes, reader->file, reader->line, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

/* @line: "[Rule web]". A section that is repeated is read on, so that its own mistakes are found too. */
static void
read_header(Reader *reader, char *line)
{
    const gsize length = strlen(line);
    reader->current = NULL;
    reader->skipping = TRUE;
    if (line[length - 1] != ']' || strpbrk(line + 1, "[]") != line + length - 1) {
        g_autofree char *shown = dlk_text_printable(line, SHOWN_BYTES);
        report(reader, "\"%s\" is no section: write [Rule NAME], [Host] or [Limits] alone in a line", shown);
        return;
    }
    line[length - 1] = '\0';
    g_auto(GStrv) words = g_strsplit(g_strstrip(line + 1), " ", 2);
    const char *kind = words[0] ? words[0] : "";
    const char *name = words[0] && words[1] ? g_strstrip(words[1]) : "";
    DlkPolicySection *section = section_new(kind, name, reader->line);
    g_ptr_array_add(reader->sections, section);
    reader->current = section;

    g_autofree char *full_name = g_strdup_printf("%s %s", kind, name);
    const DlkPolicySection *first = g_hash_table_lookup(reader->seen, full_name);
    if (first) {
        g_autofree char *shown = dlk_text_printable(g_strchomp(full_name), SHOWN_BYTES);
        report(reader, "section [%s] stands in line %u already: a file says everything about it in one place",
               shown, first->line);
        return;
    }
    g_hash_table_insert(reader->seen, g_steal_pointer(&full_name), section);
}

static gboolean
is_key_name(const char *key)
{
    return *key &&
           strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == strlen(key);
}

static void
add_entry(Reader *reader, const char *key, const char *value)
{
    DlkPolicySection *section = reader->current;
    if (g_key_file_has_key(section->values, DLK_POLICY_GROUP, key, NULL)) {
        const DlkPolicyEntry *first = dlk_policy_section_find(section, key);
        report(reader, "%s= stands in line %u already: give it once, several values with \";\" between", key,
               first->line);
        return;
    }
    DlkPolicyEntry *entry = g_new0(DlkPolicyEntry, 1);
    entry->key = g_strdup(key);
    entry->line = reader->line;
    g_ptr_array_add(section->entries, entry);
    g_key_file_set_value(section->values, DLK_POLICY_GROUP, key, value);
}

static void
read_entry(Reader *reader, char *line)
{
    char *equals = strchr(line, '=');
    g_autofree char *key = g_strchomp(g_strndup(line, equals ? (gsize)(equals - line) : 0));
    if (!is_key_name(key)) {
        g_autofree char *shown = dlk_text_printable(line, SHOWN_BYTES);
        report(reader, "\"%s\" is no key=value, no [section] and no comment, which begins with #", shown);
        return;
    }
    if (reader->current) {
        add_entry(reader, key, g_strchug(equals + 1));
    } else if (!reader->skipping) {
        report(reader, "%s= stands before the first section: put it under [Rule NAME], [Host] or [Limits]",
               key);
    }
}

static void
read_line(Reader *reader, const char *start, gsize length)
{
    reader->line++;
    if (memchr(start, '\0', length)) {
        report(reader, "the line holds a NUL byte: a policy is plain UTF-8 text");
        return;
    }
    if (!g_utf8_validate(start, (gssize)length, NULL)) {
        report(reader, "the line is not valid UTF-8: save the file in this encoding");
        return;
    }
    g_autofree char *line = g_strndup(start, length);
    g_strstrip(g_strdelimit(line, "\t", ' '));
    if (!dlk_text_is_clean(line)) {
        report(reader, "the line holds a control character: a policy is plain UTF-8 text");
        return;
    }
    if (*line == '[')
        read_header(reader, line);
    else if (*line && *line != '#')
        read_entry(reader, line);
}

GPtrArray *
dlk_policy_text_split(const char *file, const char *text, gsize length, GPtrArray *mistakes)
{
    g_autoptr(GPtrArray) sections = g_ptr_array_new_with_free_func(section_free);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Reader reader = {.file = file, .mistakes = mistakes, .sections = sections, .seen = seen};
    if (length > DLK_POLICY_MAX_FILE) {
        report(&reader, "the file is longer than %d bytes, which no policy needs", DLK_POLICY_MAX_FILE);
        return g_steal_pointer(&sections);
    }
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        const gsize line_length = end ? (gsize)(end - text) : length;
        read_line(&reader, text, line_length);
        length -= end ? line_length + 1 : line_length;
        text = end ? end + 1 : text + line_length;
    }
    return g_steal_pointer(&sections);
}
