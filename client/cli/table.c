#include "table.h"

#include "printable.h"

#include <stdio.h>
#include <string.h>

#define GAP 2
#define NARROW_COLUMN 10
#define NARROWEST_COLUMN 3
#define ALL_COLUMNS G_MAXUINT

typedef struct {
    char **cells;
    DlkColour colour;
} Row;

struct _DlkTable {
    guint n_columns;
    guint flexible;  /* bits 1 << column */
    GPtrArray *rows; /* of Row; the first one holds the headings */
};

static void
row_free(Row *row)
{
    for (guint i = 0; row->cells[i]; i++)
        g_free(row->cells[i]);
    g_free(row->cells);
    g_free(row);
}

DlkTable *
dlk_table_new(const char *const *headings)
{
    DlkTable *self = g_new0(DlkTable, 1);
    self->n_columns = g_strv_length((char **)headings);
    self->rows = g_ptr_array_new_with_free_func((GDestroyNotify)row_free);
    dlk_table_add(self, headings, DLK_COLOUR_HEADING);
    return self;
}

void
dlk_table_set_flexible(DlkTable *self, guint columns)
{
    self->flexible = columns;
}

void
dlk_table_free(DlkTable *self)
{
    g_ptr_array_unref(self->rows);
    g_free(self);
}

void
dlk_table_add(DlkTable *self, const char *const *cells, DlkColour colour)
{
    Row *row = g_new0(Row, 1);
    row->colour = colour;
    row->cells = g_new0(char *, self->n_columns + 1);
    for (guint i = 0; i < self->n_columns; i++)
        row->cells[i] = dlk_printable(cells[i] && *cells[i] ? cells[i] : "-");
    g_ptr_array_add(self->rows, row);
}

/* Takes columns away from the widest of those in @candidates until the lines fit, or all are @narrowest. */
static void
shrink(guint *widths, guint n_columns, guint candidates, guint narrowest, guint room)
{
    guint total = GAP * (n_columns - 1);
    for (guint i = 0; i < n_columns; i++)
        total += widths[i];
    while (total > room) {
        guint widest = n_columns;
        for (guint i = 0; i < n_columns; i++) {
            const gboolean wider = widest == n_columns || widths[i] > widths[widest];
            widest = (candidates & (1u << i)) && widths[i] > narrowest && wider ? i : widest;
        }
        if (widest == n_columns)
            return;
        widths[widest]--;
        total--;
    }
}

static void
print_row(const DlkTable *self, const Row *row, const guint *widths, guint indent)
{
    printf("%*s%s", (int)indent, "", dlk_terminal_colour(row->colour));
    for (guint i = 0; i < self->n_columns; i++) {
        g_autofree char *cell = dlk_shorten(row->cells[i], widths[i]);
        const gboolean last = i + 1 == self->n_columns;
        printf("%s%*s", cell, last ? 0 : (int)(widths[i] + GAP - dlk_width(cell)), "");
    }
    printf("%s\n", row->colour == DLK_COLOUR_NONE ? "" : dlk_terminal_plain());
}

void
dlk_table_print(const DlkTable *self, gboolean legend, guint indent)
{
    const guint first = legend ? 0 : 1;
    const guint terminal_width = dlk_terminal_width();
    g_autofree guint *widths = g_new0(guint, self->n_columns);
    for (guint r = first; r < self->rows->len; r++) {
        const Row *row = g_ptr_array_index(self->rows, r);
        for (guint i = 0; i < self->n_columns; i++)
            widths[i] = MAX(widths[i], dlk_width(row->cells[i]));
    }
    if (terminal_width != G_MAXUINT) {
        shrink(widths, self->n_columns, self->flexible, NARROW_COLUMN, terminal_width - indent);
        shrink(widths, self->n_columns, ALL_COLUMNS, NARROWEST_COLUMN, terminal_width - indent);
    }
    for (guint r = first; r < self->rows->len; r++)
        print_row(self, g_ptr_array_index(self->rows, r), widths, indent);
}

void
dlk_print_field(const char *label, int label_width, const char *value, DlkColour colour)
{
    g_autofree char *printable_label = dlk_printable(label);
    g_autofree char *printable = dlk_printable(value);
    const char *plain = colour == DLK_COLOUR_NONE ? "" : dlk_terminal_plain();
    printf("%*s: %s%s%s\n", label_width, printable_label, dlk_terminal_colour(colour), printable, plain);
}
