#pragma once

#include "model/pr-state.h"

/*
 * What a namespace of NVMe answers to Reservation Report (NVM Express Base Specification 2.0, 7.5). The bytes
 * come from outside: nothing is read that is not there, whatever the numbers in them say.
 */

/** Of an answer without registrants, in both formats. */
#define DLK_NVME_REPORT_HEADER 64

/**
 * dlk_nvme_report_read: @extended: it was asked for the format with host ids of 128 bits. @state (out, to be
 * empty): one key for each host, by however many controllers it is registered. @needed (out): how long the
 * whole answer is; where that is more than @length, @state is incomplete.
 * FALSE with DLK_ERROR_BACKEND_FAILED where the answer makes no sense.
 */
gboolean dlk_nvme_report_read(const guint8 *data, gsize length, gboolean extended, DlkPrState *state,
                              gsize *needed, GError **error);

/** The types of reservations, as bits 1 << DlkPrType, that a namespace says it has (Identify Namespace, field
 * RESCAP). None where @length is too short. */
guint dlk_nvme_namespace_types(const guint8 *data, gsize length);
