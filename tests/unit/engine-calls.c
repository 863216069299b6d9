#include "engine-fixture.h"

static EngineAnswer *
new_answer(EngineFixture *self)
{
    EngineAnswer *answer = g_new0(EngineAnswer, 1);

    answer->keep_fd = -1;
    g_ptr_array_add(self->answers, answer);
    return answer;
}

static void
on_acquire_answered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    EngineAnswer *answer = user_data;

    answer->leases = dlk_engine_acquire_finish(DLK_ENGINE(source), result, &answer->keep_fd, &answer->error);
    g_assert_true((answer->leases == NULL) == (answer->error != NULL));
    answer->done = TRUE;
}

EngineAnswer *
engine_ask(EngineFixture *self, DlkRequest *request)
{
    EngineAnswer *answer = new_answer(self);

    dlk_engine_acquire_async(self->engine, request, on_acquire_answered, answer);
    return answer;
}

EngineAnswer *
engine_ask_as(EngineFixture *self, DlkCaller *caller, const char *image, DlkMode mode, const char *options)
{
    DlkRequest *request = engine_request(caller, options);

    dlk_request_add(request, engine_image(self, image), -1, mode);
    return engine_ask(self, request);
}

EngineAnswer *
engine_ask_set(EngineFixture *self, const char *images, const char *options)
{
    g_auto(GStrv) names = g_strsplit(images, " ", -1);
    DlkRequest *request = engine_request(self->root, options);

    for (guint i = 0; names[i]; i++)
        dlk_request_add(request, engine_image(self, names[i]), -1, DLK_MODE_EXCLUSIVE);
    return engine_ask(self, request);
}

static void
on_release_answered(GError *error, gpointer user_data)
{
    EngineAnswer *answer = user_data;

    g_assert_false(answer->done);
    answer->error = error;
    answer->done = TRUE;
}

EngineAnswer *
engine_ask_release(EngineFixture *self, DlkLease *lease)
{
    EngineAnswer *answer = new_answer(self);

    dlk_engine_release_by(self->engine, lease, self->root, on_release_answered, answer);
    return answer;
}

static void
on_check_answered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    EngineAnswer *answer = user_data;

    answer->state = dlk_engine_check_finish(DLK_ENGINE(source), result);
    answer->done = TRUE;
}

EngineAnswer *
engine_ask_check(EngineFixture *self, DlkLease *lease)
{
    EngineAnswer *answer = new_answer(self);

    dlk_engine_check_async(self->engine, lease, on_check_answered, answer);
    return answer;
}

static void
on_change_answered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    EngineAnswer *answer = user_data;
    gboolean good = dlk_engine_change_finish(DLK_ENGINE(source), result, &answer->error);

    g_assert_true(good == (answer->error == NULL));
    answer->done = TRUE;
}

EngineAnswer *
engine_ask_convert(EngineFixture *self, DlkLease *lease, DlkMode mode)
{
    EngineAnswer *answer = new_answer(self);

    dlk_engine_convert_async(self->engine, lease, mode, self->root, on_change_answered, answer);
    return answer;
}

EngineAnswer *
engine_ask_suspend(EngineFixture *self, DlkLease *lease)
{
    EngineAnswer *answer = new_answer(self);

    dlk_engine_suspend_async(self->engine, lease, on_change_answered, answer);
    return answer;
}

EngineAnswer *
engine_ask_resume(EngineFixture *self, DlkLease *lease)
{
    EngineAnswer *answer = new_answer(self);

    dlk_engine_resume_async(self->engine, lease, self->root, on_change_answered, answer);
    return answer;
}

static void
on_inspect_answered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    EngineAnswer *answer = user_data;

    answer->report = dlk_engine_inspect_finish(DLK_ENGINE(source), result, &answer->error);
    g_assert_true((answer->report == NULL) == (answer->error != NULL));
    answer->done = TRUE;
}

EngineAnswer *
engine_ask_inspect(EngineFixture *self, const char *path)
{
    EngineAnswer *answer = new_answer(self);

    const DlkInspecting inspecting = {.caller = self->root, .path = path};

    dlk_engine_inspect_async(self->engine, &inspecting, on_inspect_answered, answer);
    return answer;
}

void
engine_assert_good(EngineAnswer *answer)
{
    engine_wait_until(answer->done);
    g_assert_no_error(answer->error);
}

void
engine_assert_error(EngineAnswer *answer, DlkError code, const char *part_of_message)
{
    engine_wait_until(answer->done);
    g_assert_error(answer->error, DLK_ERROR, (int)code);
    if (!strstr(answer->error->message, part_of_message))
        g_error("\"%s\" does not say \"%s\"", answer->error->message, part_of_message);
}

DlkLease *
engine_granted(EngineAnswer *answer)
{
    engine_assert_good(answer);
    return answer->leases->pdata[0];
}

DlkLease *
engine_acquire(EngineFixture *self, const char *image, DlkMode mode, const char *options)
{
    return engine_granted(engine_ask_as(self, self->root, image, mode, options));
}

void
engine_refused(EngineFixture *self, const char *image, DlkMode mode, const char *options, DlkError code,
               const char *part_of_message)
{
    engine_assert_error(engine_ask_as(self, self->root, image, mode, options), code, part_of_message);
}

DlkLease *
engine_acquire_for(EngineFixture *self, const OtherProcess *process, const char *image, const char *on_break)
{
    g_autofree char *options = g_strdup_printf("{'pid': <uint32 %d>, 'on-break': <'%s'>, 'owner': <'web01'>}",
                                               process->pid, on_break);

    return engine_acquire(self, image, DLK_MODE_EXCLUSIVE, options);
}

void
engine_break(EngineFixture *self, DlkLease *lease)
{
    g_autoptr(GError) error = NULL;

    dlk_engine_break(self->engine, lease, self->root, "revoked", &error);
    g_assert_no_error(error);
}

void
engine_release(EngineFixture *self, DlkLease *lease)
{
    engine_assert_good(engine_ask_release(self, lease));
}

DlkLeaseState
engine_check(EngineFixture *self, DlkLease *lease)
{
    EngineAnswer *answer = engine_ask_check(self, lease);

    engine_assert_good(answer);
    return answer->state;
}

static void
on_fence_answered(GObject *source, GAsyncResult *result, gpointer user_data)
{
    EngineAnswer *answer = user_data;
    gboolean good = dlk_engine_fence_finish(DLK_ENGINE(source), result, &answer->removed, &answer->error);

    g_assert_true(good == (answer->error == NULL));
    answer->done = TRUE;
}

EngineAnswer *
engine_ask_fence(EngineFixture *self, const char *image, const char *host)
{
    EngineAnswer *answer = new_answer(self);
    const DlkFencing fencing = {
        .caller = self->root, .path = engine_image(self, image), .host = host, .reason = "test"};

    dlk_engine_fence_async(self->engine, &fencing, on_fence_answered, answer);
    return answer;
}
