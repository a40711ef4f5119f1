/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON made canonical: it reads as the same value, is made the same again, and has not a byte more than it needs. */
#include "matrix/crypto/canonical.h"
#include "matrix/crypto/signing.h"

#include "replay.h"

#include <string.h>

static void
require(bool good)
{
	if (!good)
		abort();
}

static bool
has_real(const json_t *value)
{
	const char *key;
	json_t *child;
	size_t i;

	if (json_is_real(value))
		return true;
	json_object_foreach((json_t *)(uintptr_t)value, key, child)
		if (has_real(child))
			return true;
	json_array_foreach(value, i, child)
		if (has_real(child))
			return true;
	return false;
}

static void
check_text(const json_t *value, const struct str *text)
{
	struct str again;
	json_t *back = json_loadb(text->p, text->n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

	require(back != NULL);
	if (!has_real(value))
		require(json_equal(back, value));
	str_init(&again, text->max);
	require(canonical_add(&again, back) && again.n == text->n && memcmp(again.p, text->p, text->n) == 0);
	str_fini(&again);
	/* No control character, and outside of strings nothing but what there must be; jansson's compact text is never shorter. */
	for (size_t i = 0; i < text->n; i++)
		require((unsigned char)text->p[i] >= 32);
	require(text->n == json_dumpb(back, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY));
	json_decref(back);
}

static void
check_signing(json_t *object)
{
	static const unsigned char seed[PRIMITIVE_KEY] = "any";
	unsigned char key[PRIMITIVE_KEY];

	primitive_public_key(seed, key);
	if (signing_sign(object, "@a:x", "K", seed))
		return;
	require(signing_check(object, "@a:x", "K", key) == 0);
	if (json_object_get(object, "one more"))
		return;
	json_object_set_new(object, "one more", json_true());
	require(signing_check(object, "@a:x", "K", key) == SIGNING_E_WRONG);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *value = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	struct str text;

	if (!value)
		return 0;
	str_init(&text, 1 << 20);
	if (canonical_add(&text, value))
		check_text(value, &text);
	str_fini(&text);
	if (json_is_object(value))
		check_signing(value);
	json_decref(value);
	return 0;
}

REPLAY_MAIN("canonical")
