#include "core/reservation-report.h"

static GVariant *
keys_of(const DlkPrState *state)
{
    return g_variant_new_fixed_array(G_VARIANT_TYPE_UINT64, state->keys->data, state->keys->len,
                                     sizeof(guint64));
}

GVariant *
dlk_reservation_report(const DlkPrState *state)
{
    GVariantBuilder report;

    g_variant_builder_init(&report, G_VARIANT_TYPE("a{sv}"));
    if (state) {
        g_variant_builder_add(&report, "{sv}", "type",
                              g_variant_new_string(dlk_pr_type_to_string(state->type)));
        g_variant_builder_add(&report, "{sv}", "keys", keys_of(state));
        g_variant_builder_add(&report, "{sv}", "generation", g_variant_new_uint32(state->generation));
    }
    if (state && state->holder != 0)
        g_variant_builder_add(&report, "{sv}", "holder", g_variant_new_uint64(state->holder));
    return g_variant_builder_end(&report);
}
