#pragma once

#include "terminal.h"

#include <glib.h>

/**
 * DlkTable: rows of text in columns as wide as their widest cell. On a terminal too narrow for them the
 * widest columns are shortened. Cells are made printable here.
 */
typedef struct _DlkTable DlkTable;

/** @headings: %NULL-ended, copied; their number is that of the columns. */
DlkTable *dlk_table_new(const char *const *headings);
void dlk_table_free(DlkTable *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkTable, dlk_table_free)

/** The columns (bits 1 << column) that are shortened before others where the terminal is too narrow. */
void dlk_table_set_flexible(DlkTable *self, guint columns);
/** Adds a row; @cells: as many as there are columns, copied; a %NULL or empty one is shown as "-". */
void dlk_table_add(DlkTable *self, const char *const *cells, DlkColour colour);
/** Writes the table to stdout, each line behind @indent blanks. @legend: with the headings. */
void dlk_table_print(const DlkTable *self, gboolean legend, guint indent);

/** dlk_print_field: "  LABEL: value" with the labels of @label_width columns set flush right. Makes both
 * printable. */
void dlk_print_field(const char *label, int label_width, const char *value, DlkColour colour);
