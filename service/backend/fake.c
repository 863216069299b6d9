#include "backend/fake.h"

#include <string.h>

#define POLL_INTERVAL (10 * G_TIME_SPAN_MILLISECOND)

/* What one call does. */
typedef struct {
    guint delay_ms;
    gboolean hang;
    gboolean fail;
    DlkError code;
    DlkCheck check;
    char *text;
} Step;

struct _DlkFakeBackend {
    DlkBackend parent_instance;
    char *folder; /* or %NULL */
    GMutex mutex; /* guards all below */
    GCond went_on;
    GPtrArray *holders; /* of DlkHolder: what records say */
    GHashTable *holds;  /* of DlkHold: a lock stays held though the caller drops it */
    GQueue steps[DLK_FAKE_N_CALLS];
    guint calls[DLK_FAKE_N_CALLS];
    guint hanging;
    guint go_on_count; /* how often what hung was let go */
    gboolean release_never_blocks;
    gboolean writers_only;
};

G_DEFINE_TYPE(DlkFakeBackend, dlk_fake_backend, DLK_TYPE_BACKEND)

static const char *const call_names[DLK_FAKE_N_CALLS] = {
    [DLK_FAKE_ACQUIRE] = "acquire", [DLK_FAKE_CHECK] = "check", [DLK_FAKE_CONVERT] = "convert",
    [DLK_FAKE_RELEASE] = "release", [DLK_FAKE_ADOPT] = "adopt", [DLK_FAKE_HOLDERS] = "holders",
    [DLK_FAKE_FENCE] = "fence",
};

static void
step_free(Step *step)
{
    g_free(step->text);
    g_free(step);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Step, step_free)

static void
add_step(DlkFakeBackend *self, DlkFakeCall call, Step step, const char *text)
{
    Step *copy = g_memdup2(&step, sizeof step);
    copy->text = g_strdup(text);
    g_mutex_lock(&self->mutex);
    g_queue_push_tail(&self->steps[call], copy);
    g_mutex_unlock(&self->mutex);
}

/* The text after "WORD " where @line begins so, else %NULL. */
static const char *
text_after(const char *line, const char *word)
{
    const size_t length = strlen(word);
    if (!g_str_has_prefix(line, word) || (line[length] != ' ' && line[length] != '\0'))
        return NULL;
    return line[length] == ' ' ? line + length + 1 : line + length;
}

static Step *
parse_step(DlkFakeCall call, const char *line)
{
    Step *step = g_new0(Step, 1);
    const char *text;
    if (line[0] == '\0' || strcmp(line, "hang") == 0) {
        step->hang = line[0] != '\0';
    } else if ((text = text_after(line, "delay")) != NULL) {
        step->delay_ms = (guint)g_ascii_strtoull(text, NULL, 10);
    } else if ((text = text_after(line, "busy")) != NULL || (text = text_after(line, "fail")) != NULL) {
        step->fail = TRUE;
        step->code = line[0] == 'b' ? DLK_ERROR_BUSY : DLK_ERROR_BACKEND_FAILED;
        step->text = g_strdup(text);
    } else if (call == DLK_FAKE_CHECK && strcmp(line, "lost") == 0) {
        step->check = DLK_CHECK_LOST;
        step->text = g_strdup(DLK_REASON_LOCK_TAKEN);
    } else if (call == DLK_FAKE_ADOPT && strcmp(line, "lost") == 0) {
        step->fail = TRUE;
        step->code = DLK_ERROR_LEASE_LOST;
        step->text = g_strdup(DLK_REASON_NOT_LOCKED);
    } else if (call == DLK_FAKE_CHECK && (text = text_after(line, "unknown")) != NULL) {
        step->check = DLK_CHECK_UNKNOWN;
        step->text = g_strdup(text);
    } else {
        step->fail = TRUE;
        step->code = DLK_ERROR_BACKEND_FAILED;
        step->text = g_strdup_printf("the fake backend does not know what \"%s\" means for %s", line,
                                     call_names[call]);
    }
    return step;
}

static Step *
read_step(DlkFakeBackend *self, DlkFakeCall call)
{
    g_autofree char *text = NULL;
    if (self->folder != NULL) {
        g_autofree char *path = g_build_filename(self->folder, call_names[call], NULL);
        (void)g_file_get_contents(path, &text, NULL, NULL);
    }
    return parse_step(call, text != NULL ? g_strstrip(text) : "");
}

static void
set_hanging(DlkFakeBackend *self, int change)
{
    g_mutex_lock(&self->mutex);
    self->hanging += (guint)change;
    g_mutex_unlock(&self->mutex);
}

static Step *
read_step_until_it_goes_on(DlkFakeBackend *self, DlkFakeCall call)
{
    g_autoptr(Step) step = read_step(self, call);
    if (!step->hang)
        return g_steal_pointer(&step);
    set_hanging(self, 1);
    while (step->hang) {
        g_usleep(POLL_INTERVAL);
        step_free(step);
        step = read_step(self, call);
    }
    set_hanging(self, -1);
    return g_steal_pointer(&step);
}

/* The step of a call that begins now, after the waits that are part of it. */
static Step *
begin(DlkFakeBackend *self, DlkFakeCall call)
{
    g_mutex_lock(&self->mutex);
    self->calls[call]++;
    g_autoptr(Step) step = g_queue_pop_head(&self->steps[call]);
    if (step != NULL && step->hang) {
        const guint before = self->go_on_count;
        self->hanging++;
        while (self->go_on_count == before)
            g_cond_wait(&self->went_on, &self->mutex);
        self->hanging--;
    }
    g_mutex_unlock(&self->mutex);
    if (step == NULL)
        step = read_step_until_it_goes_on(self, call);
    g_usleep(step->delay_ms * (gulong)G_TIME_SPAN_MILLISECOND);
    return g_steal_pointer(&step);
}

static gboolean
begin_and_succeed(DlkFakeBackend *self, DlkFakeCall call, GError **error)
{
    g_autoptr(Step) step = begin(self, call);
    if (step->fail)
        g_set_error_literal(error, DLK_ERROR, (gint)step->code, step->text);
    return !step->fail;
}

/* With the mutex held: does @hold, in @mode, stand beside the others of its disk? */
static gboolean
is_compatible(DlkFakeBackend *self, const DlkHold *hold, DlkMode mode, GError **error)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, self->holds);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const DlkHold *other = key;
        if (other != hold && g_str_equal(other->target->disk->id, hold->target->disk->id) &&
            dlk_mode_conflicts(other->mode, mode, hold->strict || other->strict)) {
            g_set_error(error, DLK_ERROR, DLK_ERROR_BUSY, "%s is already locked by this very backend",
                        dlk_disk_label(hold->target->disk));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
fake_probe(DlkBackend *self, const DlkTarget *target, const DlkRule *rule, GError **error)
{
    return TRUE;
}

static gboolean
fake_serves(DlkBackend *backend, DlkMode mode, gboolean strict)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(backend);
    g_mutex_lock(&self->mutex);
    const gboolean serves = !self->writers_only || dlk_mode_writes(mode);
    g_mutex_unlock(&self->mutex);
    return serves;
}

static gboolean
fake_acquire(DlkBackend *backend, DlkHold *hold, const DlkRule *rule, GError **error)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(backend);
    if (!begin_and_succeed(self, DLK_FAKE_ACQUIRE, error))
        return FALSE;
    g_mutex_lock(&self->mutex);
    const gboolean granted = is_compatible(self, hold, hold->mode, error);
    if (granted)
        g_hash_table_add(self->holds, dlk_hold_ref(hold));
    hold->release_never_blocks = self->release_never_blocks;
    g_mutex_unlock(&self->mutex);
    return granted;
}

static DlkCheck
fake_check(DlkBackend *backend, DlkHold *hold, char **reason)
{
    g_autoptr(Step) step = begin(DLK_FAKE_BACKEND(backend), DLK_FAKE_CHECK);
    const DlkCheck answer = step->fail ? DLK_CHECK_UNKNOWN : step->check;
    *reason = answer == DLK_CHECK_HELD ? NULL : g_steal_pointer(&step->text);
    return answer;
}

static gboolean
fake_convert(DlkBackend *backend, DlkHold *hold, DlkMode mode, GError **error)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(backend);
    if (!begin_and_succeed(self, DLK_FAKE_CONVERT, error))
        return FALSE;
    g_mutex_lock(&self->mutex);
    const gboolean granted = is_compatible(self, hold, mode, error);
    if (granted)
        hold->mode = mode;
    g_mutex_unlock(&self->mutex);
    return granted;
}

static gboolean
fake_release(DlkBackend *backend, DlkHold *hold, GError **error)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(backend);
    if (!begin_and_succeed(self, DLK_FAKE_RELEASE, error))
        return FALSE;
    g_mutex_lock(&self->mutex);
    g_hash_table_remove(self->holds, hold);
    g_mutex_unlock(&self->mutex);
    return TRUE;
}

static gboolean
fake_adopt(DlkBackend *backend, DlkHold *hold, int *fds, const DlkRule *rule, GError **error)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(backend);
    if (!begin_and_succeed(self, DLK_FAKE_ADOPT, error))
        return FALSE;
    g_mutex_lock(&self->mutex);
    const gboolean granted = is_compatible(self, hold, hold->mode, error);
    if (granted)
        g_hash_table_add(self->holds, dlk_hold_ref(hold));
    g_mutex_unlock(&self->mutex);
    return granted;
}

static gboolean
fake_holders(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, GPtrArray *holders,
             GError **error)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(backend);
    if (!begin_and_succeed(self, DLK_FAKE_HOLDERS, error))
        return FALSE;
    g_mutex_lock(&self->mutex);
    for (guint i = 0; i < self->holders->len; i++)
        g_ptr_array_add(holders, dlk_holder_ref(g_ptr_array_index(self->holders, i)));
    g_mutex_unlock(&self->mutex);
    return TRUE;
}

static gboolean
fake_fence(DlkBackend *backend, const DlkTarget *target, const DlkRule *rule, const char *host,
           guint *removed, GError **error)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(backend);
    const gboolean fenced = begin_and_succeed(self, DLK_FAKE_FENCE, error);
    g_mutex_lock(&self->mutex);
    for (guint i = self->holders->len; fenced && i > 0; i--) {
        const DlkHolder *holder = g_ptr_array_index(self->holders, i - 1);
        if (g_strcmp0(holder->host, host) != 0)
            continue;
        g_ptr_array_remove_index(self->holders, i - 1);
        (*removed)++;
    }
    g_mutex_unlock(&self->mutex);
    return fenced;
}

DlkFakeBackend *
dlk_fake_backend_new(void)
{
    return g_object_new(DLK_TYPE_FAKE_BACKEND, NULL);
}

guint
dlk_fake_backend_held(DlkFakeBackend *self, const char *disk_id)
{
    guint count = 0;
    GHashTableIter iter;
    gpointer key;
    g_mutex_lock(&self->mutex);
    g_hash_table_iter_init(&iter, self->holds);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const DlkHold *hold = key;
        count += disk_id == NULL || g_str_equal(hold->target->disk->id, disk_id);
    }
    g_mutex_unlock(&self->mutex);
    return count;
}

guint
dlk_fake_backend_held_in_all(DlkFakeBackend *self)
{
    return dlk_fake_backend_held(self, NULL);
}

guint
dlk_fake_backend_calls(DlkFakeBackend *self, DlkFakeCall call)
{
    g_mutex_lock(&self->mutex);
    const guint calls = self->calls[call];
    g_mutex_unlock(&self->mutex);
    return calls;
}

guint
dlk_fake_backend_hanging(DlkFakeBackend *self)
{
    g_mutex_lock(&self->mutex);
    const guint hanging = self->hanging;
    g_mutex_unlock(&self->mutex);
    return hanging;
}

void
dlk_fake_backend_delay(DlkFakeBackend *self, DlkFakeCall call, guint delay_ms)
{
    add_step(self, call, (Step){.delay_ms = delay_ms}, NULL);
}

void
dlk_fake_backend_fail(DlkFakeBackend *self, DlkFakeCall call, DlkError code, const char *message)
{
    add_step(self, call, (Step){.fail = TRUE, .code = code}, message);
}

void
dlk_fake_backend_busy(DlkFakeBackend *self, guint times)
{
    for (guint i = 0; i < times; i++)
        dlk_fake_backend_fail(self, DLK_FAKE_ACQUIRE, DLK_ERROR_BUSY, "locked by another host");
}

void
dlk_fake_backend_answer(DlkFakeBackend *self, DlkCheck check, const char *reason)
{
    add_step(self, DLK_FAKE_CHECK, (Step){.check = check}, reason);
}

void
dlk_fake_backend_hang(DlkFakeBackend *self, DlkFakeCall call)
{
    add_step(self, call, (Step){.hang = TRUE}, NULL);
}

void
dlk_fake_backend_go_on(DlkFakeBackend *self)
{
    g_mutex_lock(&self->mutex);
    self->go_on_count++;
    g_cond_broadcast(&self->went_on);
    g_mutex_unlock(&self->mutex);
}

void
dlk_fake_backend_add_holder(DlkFakeBackend *self, DlkHolder *holder)
{
    g_mutex_lock(&self->mutex);
    g_ptr_array_add(self->holders, dlk_holder_ref(holder));
    g_mutex_unlock(&self->mutex);
}

void
dlk_fake_backend_set_writers_only(DlkFakeBackend *self, gboolean writers_only)
{
    g_mutex_lock(&self->mutex);
    self->writers_only = writers_only;
    g_mutex_unlock(&self->mutex);
}

void
dlk_fake_backend_set_release_never_blocks(DlkFakeBackend *self, gboolean never_blocks)
{
    g_mutex_lock(&self->mutex);
    self->release_never_blocks = never_blocks;
    g_mutex_unlock(&self->mutex);
}

void
dlk_fake_backend_die(DlkFakeBackend *self)
{
    g_mutex_lock(&self->mutex);
    g_hash_table_remove_all(self->holds);
    g_mutex_unlock(&self->mutex);
}

void
dlk_fake_backend_reset(DlkFakeBackend *self)
{
    g_mutex_lock(&self->mutex);
    for (guint i = 0; i < DLK_FAKE_N_CALLS; i++)
        g_queue_clear_full(&self->steps[i], (GDestroyNotify)step_free);
    g_ptr_array_set_size(self->holders, 0);
    g_mutex_unlock(&self->mutex);
    dlk_fake_backend_go_on(self);
}

static void
dlk_fake_backend_finalize(GObject *object)
{
    DlkFakeBackend *self = DLK_FAKE_BACKEND(object);
    for (guint i = 0; i < DLK_FAKE_N_CALLS; i++)
        g_queue_clear_full(&self->steps[i], (GDestroyNotify)step_free);
    g_hash_table_unref(self->holds);
    g_ptr_array_unref(self->holders);
    g_cond_clear(&self->went_on);
    g_mutex_clear(&self->mutex);
    g_free(self->folder);
    G_OBJECT_CLASS(dlk_fake_backend_parent_class)->finalize(object);
}

static void
dlk_fake_backend_class_init(DlkFakeBackendClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = dlk_fake_backend_finalize;
    DlkBackendClass *backend = DLK_BACKEND_CLASS(klass);
    backend->name = "fake";
    backend->reaches_other_hosts = TRUE;
    backend->serves = fake_serves;
    backend->probe = fake_probe;
    backend->acquire = fake_acquire;
    backend->check = fake_check;
    backend->convert = fake_convert;
    backend->release = fake_release;
    backend->adopt = fake_adopt;
    backend->holders = fake_holders;
    backend->fence = fake_fence;
}

static void
dlk_fake_backend_init(DlkFakeBackend *self)
{
    self->folder = g_strdup(g_getenv("DISKLOCK_FAKE_DIR"));
    g_mutex_init(&self->mutex);
    g_cond_init(&self->went_on);
    self->holders = g_ptr_array_new_with_free_func((GDestroyNotify)dlk_holder_unref);
    self->holds = g_hash_table_new_full(NULL, NULL, (GDestroyNotify)dlk_hold_unref, NULL);
    for (guint i = 0; i < DLK_FAKE_N_CALLS; i++)
        g_queue_init(&self->steps[i]);
}
