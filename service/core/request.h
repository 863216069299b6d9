#pragma once

#include "host/caller.h"
#include "model/lease.h"
#include "model/mode.h"
#include "model/options.h"

/** DlkWanted: one disk that a request asks for. */
typedef struct {
    char *path; /* as the caller named it; %NULL for a descriptor */
    int fd;     /* the descriptor that the caller opened, borrowed: to close it may block; or -1 */
    DlkMode mode;
    /* Of a domain's disks. */
    char *origin;             /* for messages: "disk vda (line 12)", or %NULL */
    char *format;             /* "qcow2", or %NULL where it is not known */
    gboolean probe_chain;     /* its header names backing files, to be taken read-only */
    gboolean probe_data_file; /* its header names files that are part of it, to be taken as it is where its
                                 format is known */
    gboolean is_data_file;    /* it is such a file */
    gboolean optional;        /* may be missing */
    guint chain;              /* those of one <disk> carry one number, from 1 */
} DlkWanted;

/** DlkRequest: who wants which disks, and how. Made by the bus, owned by the acquisition. */
typedef struct {
    DlkCaller *caller;
    const char *action;   /* the polkit action that was answered yes: "acquire" or "acquire-fd"; static */
    gboolean interactive; /* a person may be asked */
    gboolean first_authorised; /* polkit said yes to the first path */
    gboolean prompted;         /* after a person was asked about it, and agreed */
    gboolean keep;             /* Hold: the lease ends with a descriptor that the caller gets */
    DlkOptions *options;
    int pidfd;         /* of the options, or -1 */
    GPtrArray *wanted; /* of DlkWanted, at least one */
} DlkRequest;

/** Takes @options. */
DlkRequest *dlk_request_new(DlkCaller *caller, const char *action, DlkOptions *options);
/** Adds a disk by @path, or, with @path %NULL, by @fd, which stays open until the request has been answered.
 * Returns it, borrowed. */
DlkWanted *dlk_request_add(DlkRequest *self, const char *path, int fd, DlkMode mode);
void dlk_request_free(DlkRequest *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkRequest, dlk_request_free)

/**
 * What polkit's rules are told, of where a path leads as soon as that is known, so that a link does not speak
 * for its target: a{ss}, floating: owner; path and mode of @wanted (%NULL: of none); disk and backend of
 * @lease, and the path that its descriptor led to (%NULL: not known yet).
 */
GVariant *dlk_request_details(const DlkRequest *self, const DlkWanted *wanted, const DlkLease *lease);

/** DlkInspecting: who wants to know what. */
typedef struct {
    DlkCaller *caller;
    const char *path;     /* as the caller named it */
    gboolean interactive; /* a person may be asked */
    gboolean prompted;    /* a person was asked about the path, and agreed */
} DlkInspecting;

/** DlkFencing: who wants which host's hold on which disk gone. */
typedef struct {
    DlkCaller *caller;
    const char *path;     /* as the caller named it */
    const char *host;     /* its HostId */
    const char *reason;   /* or %NULL */
    gboolean interactive; /* a person may be asked */
    gboolean prompted;    /* a person was asked about the path, and agreed */
} DlkFencing;
