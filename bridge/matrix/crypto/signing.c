/* SPDX-License-Identifier: Apache-2.0 */
/* A signature covers the object without "signatures" and "unsigned"; so adding one never spoils another. */
#include "matrix/crypto/signing.h"

#include "matrix/crypto/base64.h"
#include "matrix/crypto/canonical.h"

#include <stdint.h>

#define SIGNED_MAX (1 << 20) /* more than an answer of keys has for one device */

static char *
name_key(const char *key_name)
{
	return xasprintf("ed25519:%s", key_name);
}

/* The member, made an empty object when it is none. */
static json_t *
reach_object(json_t *object, const char *key)
{
	json_t *child = json_object_get(object, key);

	if (json_is_object(child))
		return child;
	child = json_object();
	json_object_set_new(object, key, child);
	return child;
}

void
signing_put(json_t *object, const char *user, const char *key_name, const char *signature)
{
	AUTO_FREE char *name = name_key(key_name);

	json_object_set_new(reach_object(reach_object(object, "signatures"), user), name, json_string(signature));
}

int
signing_sign(json_t *object, const char *user, const char *key_name, const unsigned char seed[PRIMITIVE_KEY])
{
	unsigned char signature[PRIMITIVE_SIGNATURE];
	char text[SIGNING_TEXT_SIZE];
	AUTO_STR struct str content;

	str_init(&content, SIGNED_MAX);
	if (!canonical_add_signed(&content, object))
		return SIGNING_E_CONTENT;
	primitive_sign(seed, str_get(&content), content.n, signature);
	base64_encode(BASE64_PLAIN, signature, sizeof(signature), text);
	signing_put(object, user, key_name, text);
	return 0;
}

int
signing_check(const json_t *object, const char *user, const char *key_name, const unsigned char key[PRIMITIVE_KEY])
{
	AUTO_FREE char *name = name_key(key_name);
	const char *text = json_text(json_child(json_child(object, "signatures"), user), name);
	unsigned char signature[PRIMITIVE_SIGNATURE];
	AUTO_STR struct str content;

	str_init(&content, SIGNED_MAX);
	if (!text)
		return SIGNING_E_MISSING;
	if (!base64_decode_exact(BASE64_PLAIN, text, signature, sizeof(signature)))
		return SIGNING_E_FORM;
	if (!canonical_add_signed(&content, object))
		return SIGNING_E_CONTENT;
	return primitive_verify(key, str_get(&content), content.n, signature) ? 0 : SIGNING_E_WRONG;
}
