#include "model/mistake.h"

#include "base/text.h"

/* A file of nothing but mistakes must not fill the memory, or a D-Bus message. */
#define MAX_MISTAKES 1000

void
dlk_mistake_free(DlkMistake *self)
{
    g_free(self->file);
    g_free(self->reason);
    g_free(self);
}

GPtrArray *
dlk_mistakes_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)dlk_mistake_free);
}

void
dlk_mistakes_add(GPtrArray *mistakes, const char *file, guint line, char *reason)
{
    if (mistakes->len == MAX_MISTAKES) {
        g_free(reason);
        reason = g_strdup_printf("the file has more than %d mistakes: these are the first", MAX_MISTAKES);
        line = 0;
    } else if (mistakes->len > MAX_MISTAKES) {
        g_free(reason);
        return;
    }
    DlkMistake *mistake = g_new(DlkMistake, 1);
    mistake->file = g_strdup(file);
    mistake->line = line;
    mistake->reason = reason;
    g_ptr_array_add(mistakes, mistake);
}

static gint
compare_lines(gconstpointer a, gconstpointer b)
{
    const DlkMistake *const *first = a;
    const DlkMistake *const *second = b;
    return ((*first)->line > (*second)->line) - ((*first)->line < (*second)->line);
}

void
dlk_mistakes_sort(GPtrArray *mistakes)
{
    g_ptr_array_sort(mistakes, compare_lines);
}

char *
dlk_mistake_to_string(const DlkMistake *self)
{
    g_autofree char *file = dlk_text_printable(self->file, 0);
    g_autofree char *reason = dlk_text_printable(self->reason, 0);
    if (self->line == 0)
        return g_strdup_printf("%s: %s", file, reason);
    return g_strdup_printf("%s:%u: %s", file, self->line, reason);
}
