#pragma once

#include "failure.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define DLK_BUS_NAME "org.disklock.DiskLock1"
#define DLK_MANAGER_PATH "/org/disklock/DiskLock1"
#define DLK_MANAGER_INTERFACE "org.disklock.DiskLock1.Manager"
#define DLK_ERROR_PREFIX DLK_BUS_NAME ".Error."
#define DLK_ERROR_BUSY DLK_ERROR_PREFIX "Busy"           /* somebody else has the disk */
#define DLK_ERROR_NOT_A_DISK DLK_ERROR_PREFIX "NotADisk" /* a path leads to none */
#define DLK_LEASE_INTERFACE "org.disklock.DiskLock1.Lease"

/*
 * DlkBus: one connection to the system bus for one piece of work, all of whose calls together end at a
 * deadline: a bus, or a service, that does not answer must not hang libvirtd.
 */
typedef struct {
    sd_bus *bus;
    uint64_t deadline; /* µs, CLOCK_MONOTONIC */
} DlkBus;

/** Connects, and asks for an answer within @seconds to everything. False with @failure. */
bool dlk_bus_open(DlkBus *self, unsigned int seconds, DlkFailure *failure);
/** From now on @seconds for everything that is to come. */
void dlk_bus_set_patience(DlkBus *self, unsigned int seconds);
/** In µs; 0: the time is over. */
uint64_t dlk_bus_time_left(const DlkBus *self);
void dlk_bus_close(DlkBus *self);
#define DLK_AUTOBUS __attribute__((cleanup(dlk_bus_close))) DlkBus

/** A call of @member of the manager (@object %NULL) or of the lease @object; %NULL with @failure. */
sd_bus_message *dlk_bus_new_call(DlkBus *self, const char *object, const char *member, DlkFailure *failure);
/**
 * Sends @call (unreferenced in any case) and waits. The reply, or %NULL with @failure: the service's own
 * sentence, or what to do where it does not answer.
 */
sd_bus_message *dlk_bus_call(DlkBus *self, sd_bus_message *call, DlkFailure *failure);
/** The string in a variant, in place of what @text has. Negative on failure: errno's. */
int dlk_bus_read_string(sd_bus_message *reply, char **text);
