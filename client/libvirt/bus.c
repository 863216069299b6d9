#include "bus.h"

#include "text.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define ADVICE "until it does no disk can be taken; leases that stand stay: see `systemctl status disklockd`"

static uint64_t
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

uint64_t
dlk_bus_time_left(const DlkBus *self)
{
    uint64_t time = now();

    return time < self->deadline ? self->deadline - time : 0;
}

/* The handshake has a deadline of its own in sd-bus, of 90 s. */
static int
wait_until_ready(DlkBus *self)
{
    for (;;) {
        int ready = sd_bus_is_ready(self->bus);
        int done = ready == 0 ? sd_bus_process(self->bus, NULL) : 0;

        if (ready != 0 || done < 0)
            return ready != 0 ? ready : done;
        if (dlk_bus_time_left(self) == 0)
            return -ETIMEDOUT;
        if (done == 0 && (done = sd_bus_wait(self->bus, dlk_bus_time_left(self))) < 0)
            return done;
    }
}

bool
dlk_bus_open(DlkBus *self, unsigned int seconds, DlkFailure *failure)
{
    *self = (DlkBus){0};
    dlk_bus_set_patience(self, seconds);
    int result = sd_bus_open_system(&self->bus);

    if (result >= 0)
        result = wait_until_ready(self);
    if (result >= 0)
        return true;
    dlk_bus_close(self);
    failure->silent = true;
    return dlk_fail(failure,
                    "disklockd cannot be asked, because the system bus does not answer (%s); " ADVICE,
                    strerror(-result));
}

void
dlk_bus_set_patience(DlkBus *self, unsigned int seconds)
{
    self->deadline = now() + (uint64_t)seconds * 1000000;
}

void
dlk_bus_close(DlkBus *self)
{
    /* Not flush: that would wait for a bus that is stopped. */
    sd_bus_close(self->bus);
    self->bus = sd_bus_unref(self->bus);
}

sd_bus_message *
dlk_bus_new_call(DlkBus *self, const char *object, const char *member, DlkFailure *failure)
{
    sd_bus_message *call = NULL;
    int result =
        sd_bus_message_new_method_call(self->bus, &call, DLK_BUS_NAME, object ? object : DLK_MANAGER_PATH,
                                       object ? DLK_LEASE_INTERFACE : DLK_MANAGER_INTERFACE, member);

    if (result < 0)
        dlk_fail(failure, "cannot ask disklockd: %s", strerror(-result));
    return call;
}

static void
describe(const sd_bus_error *cause, DlkFailure *failure)
{
    bool answered = strncmp(cause->name, DLK_ERROR_PREFIX, strlen(DLK_ERROR_PREFIX)) == 0 ||
                    sd_bus_error_has_name(cause, SD_BUS_ERROR_INVALID_ARGS) ||
                    sd_bus_error_has_name(cause, SD_BUS_ERROR_ACCESS_DENIED);

    if (answered)
        dlk_fail(failure, "disklockd: %s", cause->message);
    else
        dlk_fail(failure, "disklockd does not answer (%s); " ADVICE,
                 cause->message ? cause->message : cause->name);
    failure->silent = !answered;
    free(failure->error);
    failure->error = dlk_copy(cause->name);
}

sd_bus_message *
dlk_bus_call(DlkBus *self, sd_bus_message *call, DlkFailure *failure)
{
    sd_bus_error cause = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    uint64_t patience = dlk_bus_time_left(self);
    /* 0 would be sd-bus's own default. */
    int result = sd_bus_call(self->bus, call, patience > 0 ? patience : 1, &cause, &reply);

    sd_bus_message_unref(call);
    if (result < 0 && sd_bus_error_is_set(&cause))
        describe(&cause, failure);
    else if (result < 0)
        failure->silent = !dlk_fail(failure, "disklockd does not answer (%s); " ADVICE, strerror(-result));
    sd_bus_error_free(&cause);
    return result < 0 ? NULL : reply;
}

int
dlk_bus_read_string(sd_bus_message *reply, char **text)
{
    const char *value = NULL;
    int result = sd_bus_message_read(reply, "v", "s", &value);

    if (result < 0)
        return result;
    free(*text);
    *text = dlk_copy(value);
    return 0;
}
