#include "host/token.h"

#include "base/error.h"
#include "base/file.h"

#include <stdio.h>
#include <time.h>

/* So far ahead of the clock the mark is set: one write in ten minutes, however many grants. */
#define AHEAD_US (10 * 60 * G_USEC_PER_SEC)
/* Where tokens have run ahead of the clock the mark moves by less, so that they do not run further and
 * further. */
#define STEP_US G_USEC_PER_SEC
/* A clock that seems to have moved by less has not been set. */
#define NOISE_US 1000
/* Tokens may be so far ahead of the clock and still go by it: many in one moment, and after a start. */
#define MARGIN_US (20 * 1000)
/* In the place of an offset: tokens are further ahead of the clock than that, and the next start cannot go by
 * it. */
#define RAN_AHEAD (G_MAXINT64 / 2)
/* A clock that seems to have been set back is read so often: a pause while it is read looks the same. */
#define READINGS 5

/*
 * The file holds the mark, which no token has exceeded, and by how much the clock was ahead of the time since
 * boot: only who sets the clock changes that. A daemon that comes back to a clock nobody has set back may go
 * by the clock; else it goes on from the mark. To jump to the mark each time would put tokens ahead of the
 * clock, and a reboot, which empties the runtime folder, would then give them out a second time. Once they
 * are ahead, the file says so until the clock has caught up: a clock that was put right again would be behind
 * them.
 */
struct _DlkTokens {
    char *path;
    gint64 last;
    gint64 mark;
    gint64 offset;
};

/* The clock is read first: a pause between the two makes the offset look smaller, never greater. */
static gint64
read_clock(gint64 *offset)
{
    gint64 now = g_get_real_time();
    struct timespec boot = {0};
    clock_gettime(CLOCK_BOOTTIME, &boot);
    *offset = now - (boot.tv_sec * G_USEC_PER_SEC + boot.tv_nsec / 1000);
    return now;
}

static gboolean
load(DlkTokens *self, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) local = NULL;
    if (!g_file_get_contents(self->path, &text, NULL, &local)) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return TRUE;
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED, "%s", local->message);
        return FALSE;
    }
    g_auto(GStrv) words = g_strsplit(g_strchomp(text), " ", -1);
    if (g_strv_length(words) != 2 ||
        !g_ascii_string_to_signed(words[0], 10, 0, G_MAXINT64 - AHEAD_US, &self->mark, NULL) ||
        !g_ascii_string_to_signed(words[1], 10, G_MININT64, G_MAXINT64, &self->offset, NULL)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED,
                    "%s does not say how far the fencing tokens have come: remove it if no lease is held",
                    self->path);
        return FALSE;
    }
    self->last = self->mark;
    for (guint i = 0; i < READINGS; i++) {
        gint64 offset = 0;
        gint64 now = read_clock(&offset);
        if (offset >= self->offset - NOISE_US)
            self->last = MIN(now + MARGIN_US, self->mark);
    }
    return TRUE;
}

DlkTokens *
dlk_tokens_new(const char *runtime_dir, GError **error)
{
    g_autoptr(DlkTokens) self = g_new0(DlkTokens, 1);
    self->path = g_build_filename(runtime_dir, "token-mark", NULL);
    return load(self, error) ? g_steal_pointer(&self) : NULL;
}

void
dlk_tokens_free(DlkTokens *self)
{
    g_free(self->path);
    g_free(self);
}

static gboolean
move_mark(DlkTokens *self, gint64 mark, gint64 offset, GError **error)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", mark, offset);
    if (!dlk_file_replace(self->path, text, error))
        return FALSE;
    self->mark = mark;
    self->offset = offset;
    return TRUE;
}

void
dlk_tokens_pass(DlkTokens *self, guint64 token)
{
    self->last = MAX(self->last, (gint64)token);
}

guint64
dlk_tokens_next(DlkTokens *self, GError **error)
{
    gint64 offset = 0;
    gint64 now = read_clock(&offset);
    gint64 next = MAX(now, self->last + 1);
    const gboolean had_run_ahead = self->offset >= RAN_AHEAD;
    const gboolean runs_ahead = next > now + MARGIN_US + NOISE_US;
    if (runs_ahead)
        offset = RAN_AHEAD;
    else if (!had_run_ahead)
        offset = MAX(offset, self->offset);
    const gboolean clock_was_set = offset > self->offset + NOISE_US || runs_ahead != had_run_ahead;
    if ((next > self->mark || clock_was_set) &&
        !move_mark(self, MAX(MAX(now + AHEAD_US, next + STEP_US), self->mark), offset, error))
        return 0;
    self->last = next;
    return (guint64)next;
}
