#include "backend/reservation-parts.h"
#include "base/error.h"
#include "model/pr-key.h"

#include <string.h>

/* What whoever is refused reads: a key names no host, so he is told what to give for it. */
static void
test_who_is_refused_by_a_key_is_told_how_its_host_is_fenced(void)
{
    const guint64 theirs = dlk_pr_key_make("b", 7, TRUE);
    const DlkReservation self = {.key = dlk_pr_key_make("a", 7, TRUE),
                                 .type = dlk_pr_type_for(DLK_MODE_EXCLUSIVE, FALSE)};
    g_autoptr(DlkPrState) state = dlk_pr_state_new();
    g_autoptr(GError) error = NULL;

    g_array_append_val(state->keys, theirs);
    g_assert_false(dlk_reservation_set_busy(&self, state, "/dev/sda", &error));
    g_assert_error(error, DLK_ERROR, DLK_ERROR_BUSY);
    g_assert_nonnull(strstr(error->message, "/dev/sda is registered by another host (keys 0x"));
    g_assert_nonnull(strstr(error->message, "disklockctl fence PATH HOSTID"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reservation/who-is-refused-by-a-key-is-told-how-its-host-is-fenced",
                    test_who_is_refused_by_a_key_is_told_how_its_host_is_fenced);
    return g_test_run();
}
