#pragma once

#include <glib.h>

/* A folder of its own for one test, without links in its path, removed with all that is in it. */
typedef struct {
    char *path;
} Scratch;

void scratch_init(Scratch *scratch);
void scratch_clear(Scratch *scratch);
/* The path of @name in it. Free with g_free(). */
char *scratch_path(const Scratch *scratch, const char *name);
/* As scratch_path(), and makes a file there. */
char *scratch_file(const Scratch *scratch, const char *name);
char *scratch_folder(const Scratch *scratch, const char *name);
/* Makes a symbolic link there. */
char *scratch_link(const Scratch *scratch, const char *name, const char *target);
