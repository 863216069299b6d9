#pragma once

#include <glib.h>

/** DlkDomainFile: the XML of a libvirt domain, as the command line named it. */
typedef struct {
    char *xml; /* UTF-8, ended by a NUL and with none inside */
    gsize length;
    char *name; /* the domain's */
    char *uuid; /* or %NULL */
} DlkDomainFile;

/**
 * dlk_domain_file_read: reads @argument, a file, or "-": standard input. DLK_ERROR_INVALID_ARGS, naming the
 * file, for what is no domain XML by its size (DLK_DOMAIN_MAX_BYTES), its characters or its first element.
 */
DlkDomainFile *dlk_domain_file_read(const char *argument, GError **error);
void dlk_domain_file_free(DlkDomainFile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DlkDomainFile, dlk_domain_file_free)
