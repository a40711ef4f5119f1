/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_PEOPLE_OPEN_H
#define CORE_PEOPLE_OPEN_H

#include "core/people.h"
#include "store/store.h"

struct people *people_open(struct store *store) MUST_USE;
void people_close(struct people *people);

#endif
