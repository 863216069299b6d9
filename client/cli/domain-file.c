#include "domain-file.h"

#include "base/error.h"
#include "base/fd.h"
#include "model/domain-name.h"
#include "model/domain.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define CHUNK_BYTES 65536

/* One byte beyond the bound tells that there is too much. */
static gboolean
read_bounded(int fd, GString *text)
{
    char chunk[CHUNK_BYTES];
    while (text->len <= DLK_DOMAIN_MAX_BYTES) {
        const gsize room = MIN(sizeof chunk, DLK_DOMAIN_MAX_BYTES + 1 - text->len);
        const gssize count = read(fd, chunk, room);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count == 0;
        g_string_append_len(text, chunk, count);
    }
    return TRUE;
}

static gboolean
check_text(const char *shown, const GString *text, GError **error)
{
    if (text->len > DLK_DOMAIN_MAX_BYTES) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "%s: has more than %d bytes: that is no domain XML", shown, DLK_DOMAIN_MAX_BYTES);
        return FALSE;
    }
    if (!g_utf8_validate(text->str, (gssize)text->len, NULL)) {
        g_set_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS,
                    "%s: is not UTF-8, which is what `virsh dumpxml` prints and all that D-Bus can carry",
                    shown);
        return FALSE;
    }
    return TRUE;
}

static GString *
read_text(const char *argument, const char *shown, GError **error)
{
    const gboolean is_stdin = g_str_equal(argument, "-");
    dlk_autofd file = is_stdin ? -1 : open(argument, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (!is_stdin && file < 0) {
        dlk_set_error_errno(error, DLK_ERROR_INVALID_ARGS, errno, "%s", shown);
        return NULL;
    }
    g_autoptr(GString) text = g_string_new(NULL);
    if (!read_bounded(is_stdin ? STDIN_FILENO : file, text)) {
        dlk_set_error_errno(error, DLK_ERROR_INVALID_ARGS, errno, "%s", shown);
        return NULL;
    }
    return check_text(shown, text, error) ? g_steal_pointer(&text) : NULL;
}

DlkDomainFile *
dlk_domain_file_read(const char *argument, GError **error)
{
    const char *shown = g_str_equal(argument, "-") ? "standard input" : argument;
    GString *text = read_text(argument, shown, error);
    if (!text)
        return NULL;
    g_autoptr(DlkDomainFile) self = g_new0(DlkDomainFile, 1);
    self->length = text->len;
    self->xml = g_string_free(text, FALSE);
    if (!dlk_domain_name_read(self->xml, self->length, &self->name, &self->uuid, error)) {
        g_prefix_error(error, "%s: ", shown);
        return NULL;
    }
    return g_steal_pointer(&self);
}

void
dlk_domain_file_free(DlkDomainFile *self)
{
    g_free(self->xml);
    g_free(self->name);
    g_free(self->uuid);
    g_free(self);
}
