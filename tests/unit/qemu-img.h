#pragma once

#include <gio/gio.h>

/* Runs qemu-img with the words of @arguments in @folder; it has to succeed. */
static inline void
qemu_img(const char *folder, const char *arguments)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *command = g_strconcat("qemu-img ", arguments, NULL);
    g_auto(GStrv) words = NULL;
    int status = 0;
    g_shell_parse_argv(command, NULL, &words, &error);
    g_assert_no_error(error);
    g_spawn_sync(folder, words, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                 NULL, &status, &error);
    g_assert_no_error(error);
    g_spawn_check_wait_status(status, &error);
    g_assert_no_error(error);
}
