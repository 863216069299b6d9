#pragma once

#include <glib.h>

/** DlkMistake: one thing that is wrong in a policy. */
typedef struct {
    char *file;
    guint line; /* from 1; 0: the file as a whole */
    char *reason;
} DlkMistake;

void dlk_mistake_free(DlkMistake *self);

/** A list of DlkMistake that frees them. */
GPtrArray *dlk_mistakes_new(void);
/** Takes @reason. A list says once that it is full, after 1,000 mistakes, and takes no more. */
void dlk_mistakes_add(GPtrArray *mistakes, const char *file, guint line, char *reason);
/** By line; what stands in one line stays in the order in which it was found. */
void dlk_mistakes_sort(GPtrArray *mistakes);

/** "FILE:LINE: REASON" ("FILE: REASON" for the file as a whole), one printable line. Free with g_free(). */
char *dlk_mistake_to_string(const DlkMistake *self);
