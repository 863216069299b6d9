#include "inspect.h"

#include "text.h"

#include <string.h>

void
dlk_report_clear(DlkReport *report)
{
    free(report->disk);
    free(report->state);
    free(report->owner);
    *report = (DlkReport){0};
}

typedef struct {
    char *owner;
    int this_host;
} Holder;

typedef int (*ReadValue)(sd_bus_message *reply, const char *key, void *target);

static int
read_dictionary(sd_bus_message *reply, ReadValue read_value, void *target)
{
    const char *key = NULL;
    int result = sd_bus_message_enter_container(reply, 'a', "{sv}");

    while (result > 0 && (result = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        result = sd_bus_message_read(reply, "s", &key);
        if (result >= 0)
            result = read_value(reply, key, target);
        if (result >= 0)
            result = sd_bus_message_exit_container(reply);
    }
    return result < 0 ? result : sd_bus_message_exit_container(reply);
}

static int
read_of_holder(sd_bus_message *reply, const char *key, void *target)
{
    Holder *holder = target;

    if (strcmp(key, "owner") == 0)
        return dlk_bus_read_string(reply, &holder->owner);
    if (strcmp(key, "this-host") == 0)
        return sd_bus_message_read(reply, "v", "b", &holder->this_host);
    return sd_bus_message_skip(reply, "v");
}

/* What other hosts' records say is anybody's to write. */
static int
read_holder(sd_bus_message *reply, DlkReport *report)
{
    Holder holder = {0};
    int result = read_dictionary(reply, read_of_holder, &holder);

    if (result >= 0 && holder.this_host) {
        free(report->owner);
        report->owner = holder.owner;
    } else {
        free(holder.owner);
    }
    return result;
}

static int
read_holders(sd_bus_message *reply, DlkReport *report)
{
    int result = sd_bus_message_enter_container(reply, 'v', "aa{sv}");

    if (result > 0)
        result = sd_bus_message_enter_container(reply, 'a', "a{sv}");
    while (result >= 0 && (result = sd_bus_message_at_end(reply, 0)) == 0)
        result = read_holder(reply, report);
    if (result >= 0)
        result = sd_bus_message_exit_container(reply);
    return result < 0 ? result : sd_bus_message_exit_container(reply);
}

static int
read_of_disk(sd_bus_message *reply, const char *key, void *target)
{
    DlkReport *report = target;

    if (strcmp(key, "disk") == 0)
        return dlk_bus_read_string(reply, &report->disk);
    if (strcmp(key, "state") == 0)
        return dlk_bus_read_string(reply, &report->state);
    return strcmp(key, "holders") == 0 ? read_holders(reply, report) : sd_bus_message_skip(reply, "v");
}

bool
dlk_report_ask(DlkBus *bus, const char *path, DlkReport *report)
{
    DLK_AUTOFAILURE failure = {0};
    sd_bus_message *call = dlk_bus_new_call(bus, NULL, "Inspect", &failure);

    if (!call || sd_bus_message_append(call, "s", path) < 0)
        return sd_bus_message_unref(call), false;
    sd_bus_message *reply = dlk_bus_call(bus, call, &failure);
    if (!reply)
        return false;
    int result = read_dictionary(reply, read_of_disk, report);
    sd_bus_message_unref(reply);
    if (result >= 0 && report->disk && report->state)
        return true;
    dlk_report_clear(report);
    return false;
}
