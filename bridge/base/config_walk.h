/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CONFIG_WALK_H
#define BASE_CONFIG_WALK_H

/* From the text of a file into a struct config, which is empty before. For config.c only. 0, or DOCUMENT_E_BAD and a complaint. */

#include "base/config.h"
#include "base/document.h"

/* sourdine.yaml(5), with its defaults. What failed half-way is to be freed by config_free(). */
int config_walk(struct config *config, struct document *document, const char *text, size_t n) MUST_USE;
/* Of the registration only what we need: the rest is between the admin and the homeserver. */
int config_walk_registration(struct config *config, struct document *document, const char *text, size_t n) MUST_USE;

#endif
