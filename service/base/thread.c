#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#define STACK_BYTES (1024 * 1024)

static gboolean
start(pthread_t *thread, int detach_state, void *(*func)(void *), void *data)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, detach_state);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(thread, &attributes, func, data);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure == 0;
}

gboolean
dlk_thread_start(void *(*func)(void *), void *data)
{
    pthread_t thread;
    return start(&thread, PTHREAD_CREATE_DETACHED, func, data);
}

gboolean
dlk_thread_run(void *(*func)(void *), void *data)
{
    pthread_t thread;
    return start(&thread, PTHREAD_CREATE_JOINABLE, func, data) && pthread_join(thread, NULL) == 0;
}

void
dlk_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

gboolean
dlk_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, gint64 until)
{
    struct timespec time = {.tv_sec = until / G_USEC_PER_SEC, .tv_nsec = until % G_USEC_PER_SEC * 1000};
    return pthread_cond_timedwait(cond, mutex, &time) != ETIMEDOUT;
}
