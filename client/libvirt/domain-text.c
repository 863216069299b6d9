#include "domain-text.h"

#include <ctype.h>
#include <string.h>

#define SPACE " \t\r\n"

bool
dlk_is_uuid(const char *text)
{
    for (int i = 0; i < DLK_UUID_LENGTH; i++) {
        const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return text[DLK_UUID_LENGTH] == '\0';
}

static bool
begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Behind the next @end; NULL: there is none. */
static const char *
skip_past(const char *text, const char *end)
{
    const char *found = strstr(text, end);

    return found ? found + strlen(end) : NULL;
}

/* Behind the tag whose text begins at @text; a quoted value may have a '>' in it. */
static const char *
skip_tag(const char *text)
{
    while (*text && *text != '>') {
        if (*text == '"' || *text == '\'')
            text = strchr(text + 1, *text);
        if (!text)
            return NULL;
        text++;
    }
    return *text ? text + 1 : NULL;
}

/* The same, where what begins at @text, behind a '<', is no element. */
static const char *
skip_other(const char *text)
{
    if (begins(text, "!--"))
        return skip_past(text + strlen("!--"), "-->");
    if (begins(text, "![CDATA["))
        return skip_past(text, "]]>");
    return skip_past(text, begins(text, "?") ? "?>" : ">");
}

static bool
is_named(const char *tag, const char *name)
{
    return begins(tag, name) && strchr(SPACE "/>", tag[strlen(name)]);
}

static void
read_uuid(const char *text, char uuid[DLK_UUID_LENGTH + 1])
{
    text += strspn(text, SPACE);
    if (strcspn(text, SPACE "<") != DLK_UUID_LENGTH)
        return;
    memcpy(uuid, text, DLK_UUID_LENGTH);
    uuid[DLK_UUID_LENGTH] = '\0';
    if (!dlk_is_uuid(uuid))
        *uuid = '\0';
}

bool
dlk_domain_text_uuid(const char *xml, char uuid[DLK_UUID_LENGTH + 1])
{
    const char *next = xml;
    int depth = 0;
    bool is_domain = false;

    *uuid = '\0';
    while (next && (next = strchr(next, '<'))) {
        const char *tag = next + 1;
        const bool is_element = *tag != '!' && *tag != '?';

        next = is_element ? skip_tag(tag) : skip_other(tag);
        if (!next)
            return false;
        if (!is_element)
            continue;
        if (depth == 0 && (is_domain || !is_named(tag, "domain")))
            return false;
        is_domain = true;
        if (depth == 1 && !*uuid && is_named(tag, "uuid"))
            read_uuid(next, uuid);
        if (*tag == '/')
            depth--;
        else if (next[-2] != '/')
            depth++;
    }
    return is_domain && depth == 0;
}
