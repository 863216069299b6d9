#include "scratch.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

void
scratch_init(Scratch *scratch)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *made = g_dir_make_tmp("disklock-XXXXXX", &error);
    g_assert_no_error(error);
    scratch->path = realpath(made, NULL);
    g_assert_nonnull(scratch->path);
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    return remove(path);
}

void
scratch_clear(Scratch *scratch)
{
    g_assert_cmpint(nftw(scratch->path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), ==, 0);
    g_clear_pointer(&scratch->path, free);
}

char *
scratch_path(const Scratch *scratch, const char *name)
{
    return g_build_filename(scratch->path, name, NULL);
}

char *
scratch_file(const Scratch *scratch, const char *name)
{
    g_autoptr(GError) error = NULL;
    char *path = scratch_path(scratch, name);
    g_file_set_contents(path, "data", -1, &error);
    g_assert_no_error(error);
    return path;
}

char *
scratch_folder(const Scratch *scratch, const char *name)
{
    char *path = scratch_path(scratch, name);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    return path;
}

char *
scratch_link(const Scratch *scratch, const char *name, const char *target)
{
    char *path = scratch_path(scratch, name);
    g_assert_cmpint(symlink(target, path), ==, 0);
    return path;
}
