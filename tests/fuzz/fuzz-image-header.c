#include "base/error.h"
#include "base/text.h"
#include "model/backing-name.h"
#include "model/image-header.h"
#include "tests/unit/image-memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static void
check_name(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL, *format = NULL;
    g_assert_true(dlk_text_is_clean(name));
    if (dlk_backing_name_resolve(name, "/folder/image", &path, &format, &error)) {
        g_assert_no_error(error);
        g_assert_true(dlk_text_is_clean(path));
        g_assert_true(path[0] == '/' || strstr(path, "://"));
        return;
    }
    g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
    g_assert_true(dlk_text_is_clean(error->message));
    g_assert_null(path);
}

static void
check_as(ImageMemory *memory, const char *format)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DlkImageHeader) header = dlk_image_header_read(image_memory_read, memory, format, &error);
    if (!header) {
        g_assert_error(error, DLK_ERROR, DLK_ERROR_INVALID_ARGS);
        return;
    }
    g_assert_no_error(error);
    g_assert_true(!format || g_str_equal(format, header->format));
    if (header->backing)
        check_name(header->backing);
    for (guint i = 0; i < header->data_files->len; i++)
        check_name(header->data_files->pdata[i]);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    static const char *const formats[] = {NULL, "raw", "qcow2", "qcow", "qed", "vmdk"};
    ImageMemory memory = {data, size};
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++)
        check_as(&memory, formats[i]);
    return 0;
}
