#pragma once

#include "host/caller.h"
#include "model/mode.h"
#include "model/options.h"

/** DlkWanted: one disk that a request asks for. */
typedef struct {
    char *path; /* as the caller named it; %NULL for a descriptor */
    int fd;     /* the descriptor that the caller opened, or -1 */
    DlkMode mode;
} DlkWanted;

/** DlkRequest: who wants which disks, and how. Made by the bus, owned by the acquisition. */
typedef struct {
    DlkCaller *caller;
    const char *action;   /* the polkit action that was answered yes: "acquire" or "acquire-fd"; static */
    gboolean interactive; /* a person may be asked */
    gboolean prompted;    /* a person was asked, and agreed */
    gboolean keep;        /* Hold: the lease ends with a descriptor that the caller gets */
    DlkOptions *options;
    int pidfd;         /* of the options, or -1 */
    GPtrArray *wanted; /* of DlkWanted, at least one */
} DlkRequest;

/** Takes @options. */
DlkRequest *dlk_request_new(DlkCaller *caller, const char *action, DlkOptions *options);
/** Adds a disk by @path, or, with @path %NULL, by @fd, which is taken over. */
void dlk_request_add(DlkRequest *self, const char *path, int fd, DlkMode mode);
void dlk_request_free(DlkRequest *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkRequest, dlk_request_free)

/** What polkit's rules are told of the first disk: a{ss}, floating: path, mode, owner, and disk and backend
 * where known. */
GVariant *dlk_request_details(const DlkRequest *self, const DlkWanted *wanted, const char *disk,
                              const char *backend);
