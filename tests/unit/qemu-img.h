#pragma once

#include <gio/gio.h>

/*
 * To make a LUKS key, QEMU measures its own use of the processor, and gives up where the kernel's clock for
 * that is too coarse ("Unable to get accurate CPU usage", crypto/pbkdf.c): so often it is asked again.
 */
#define QEMU_IMG_TRIES 50

/* Runs qemu-img with the words of @arguments in @folder; it has to succeed. */
static inline void
qemu_img(const char *folder, const char *arguments)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *command = g_strconcat("qemu-img ", arguments, NULL);
    g_auto(GStrv) words = NULL;
    int status = -1;
    g_shell_parse_argv(command, NULL, &words, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < QEMU_IMG_TRIES && status != 0; i++)
        g_spawn_sync(folder, words, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                     NULL, &status, &error);
    g_assert_no_error(error);
    g_spawn_check_wait_status(status, &error);
    g_assert_no_error(error);
}
