#include "base/error.h"
#include "base/text.h"
#include "model/nvme-report.h"
#include "model/pr-in.h"
#include "model/scsi-sense.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static void
check_result(gboolean read, const GError *error)
{
    if (read)
        g_assert_no_error(error);
    else
        g_assert_error(error, DLK_ERROR, DLK_ERROR_BACKEND_FAILED);
}

static void
check_keys(const guint8 *data, size_t size)
{
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GArray) keys = NULL;
    g_autoptr(GError) error = NULL;
    const gboolean read = dlk_pr_in_read_keys(data, size, &generation, &keys, &needed, &error);
    check_result(read, error);
    g_assert_true(!read || keys->len * 8 + 8 <= MIN(size, needed));
}

static void
check_reservation(const guint8 *data, size_t size)
{
    guint32 generation = 0;
    DlkPrType type = DLK_PR_NONE;
    guint64 holder = 0;
    g_autoptr(GError) error = NULL;
    const gboolean read = dlk_pr_in_read_reservation(data, size, &generation, &type, &holder, &error);
    check_result(read, error);
    g_assert_cmpint(type, <, DLK_PR_N_TYPES);
    g_assert_true(type != DLK_PR_NONE || holder == 0);
}

static void
check_full_status(const guint8 *data, size_t size)
{
    guint32 generation = 0;
    gsize needed = 0;
    g_autoptr(GPtrArray) registrants = NULL;
    g_autoptr(GError) error = NULL;
    check_result(dlk_pr_in_read_full_status(data, size, &generation, &registrants, &needed, &error), error);
    for (guint i = 0; registrants != NULL && i < registrants->len; i++)
        g_assert_true(dlk_text_is_clean(((DlkPrRegistrant *)registrants->pdata[i])->initiator));
}

static void
check_report(const guint8 *data, size_t size, gboolean extended)
{
    gsize needed = 0;
    g_autoptr(DlkPrState) state = dlk_pr_state_new();
    g_autoptr(GError) error = NULL;
    const gboolean read = dlk_nvme_report_read(data, size, extended, state, &needed, &error);
    check_result(read, error);
    g_assert_cmpint(state->type, <, DLK_PR_N_TYPES);
    g_assert_true(state->keys->len * 24 + 24 <= MAX(size, 24));
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    guint types = 0;
    DlkScsiSense sense = {0};
    g_autoptr(GError) error = NULL;
    check_keys(data, size);
    check_reservation(data, size);
    check_full_status(data, size);
    check_result(dlk_pr_in_report_capabilities(data, size, &types, &error), error);
    (void)dlk_scsi_sense_read(data, size, &sense);
    check_report(data, size, TRUE);
    check_report(data, size, FALSE);
    (void)dlk_nvme_namespace_types(data, size);
    return 0;
}
