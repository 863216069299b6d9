#include "backend/backends.h"
#include "backend/fake.h"

#define LOOK_MS 50

/* The main thread does nothing more, as long as the file "main-loop" of the fake backend's folder says
 * "hang". */
static gboolean
stop_main_loop(gpointer path)
{
    g_autofree char *text = NULL;

    while (g_file_get_contents(path, &text, NULL, NULL) && g_str_has_prefix(text, "hang")) {
        g_clear_pointer(&text, g_free);
        g_usleep(LOOK_MS * G_TIME_SPAN_MILLISECOND);
    }
    return G_SOURCE_CONTINUE;
}

/* An executable that is linked with this file has the backend "fake" from its first line on. */
__attribute__((constructor)) static void
register_fake(void)
{
    dlk_backends_add(DLK_BACKEND(dlk_fake_backend_new()));
    if (g_getenv("DISKLOCK_FAKE_DIR"))
        g_timeout_add_full(G_PRIORITY_DEFAULT, LOOK_MS, stop_main_loop,
                           g_build_filename(g_getenv("DISKLOCK_FAKE_DIR"), "main-loop", NULL), g_free);
}
