#include "host/pool-job.h"

static void dlk_pool_job_result_init(GAsyncResultIface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(DlkPoolJob, dlk_pool_job, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(G_TYPE_ASYNC_RESULT, dlk_pool_job_result_init))

static gpointer
get_user_data(GAsyncResult *result)
{
    return DLK_POOL_JOB(result)->user_data;
}

static GObject *
get_source_object(GAsyncResult *result)
{
    return NULL;
}

static void
dlk_pool_job_result_init(GAsyncResultIface *iface)
{
    iface->get_user_data = get_user_data;
    iface->get_source_object = get_source_object;
}

static void
finalize(GObject *object)
{
    DlkPoolJob *self = DLK_POOL_JOB(object);
    if (self->result != NULL && self->job.free_result != NULL)
        self->job.free_result(self->result);
    g_clear_error(&self->error);
    G_OBJECT_CLASS(dlk_pool_job_parent_class)->finalize(object);
}

static void
dlk_pool_job_class_init(DlkPoolJobClass *class)
{
    G_OBJECT_CLASS(class)->finalize = finalize;
}

static void
dlk_pool_job_init(DlkPoolJob *self)
{
    self->pending.data = self;
    self->queue.data = self;
}

DlkPoolJob *
dlk_pool_job_new(const DlkJob *job, gpointer input, GAsyncReadyCallback callback, gpointer user_data)
{
    DlkPoolJob *self = g_object_new(DLK_TYPE_POOL_JOB, NULL);
    self->job = *job;
    self->input = input;
    self->callback = callback;
    self->user_data = user_data;
    return self;
}
