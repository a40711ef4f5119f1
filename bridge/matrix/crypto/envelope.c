/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each check stops an attack of its own. The two users and the recipient's key: a message passed on by whom it was written to.
 * The sender's key: one who publishes somebody else's curve25519 key as his. Whose device keys: CVE-2026-45056.
 */
#include "matrix/crypto/envelope.h"

#include <string.h>

json_t *
envelope_make(const struct envelope_ends *ends, const char *type, json_t *content, json_t *sender_device_keys)
{
	json_t *plain = json_pack("{s:s, s:O, s:s, s:s, s:{s:s}, s:{s:s}}", "type", type, "content", content, "sender", ends->sender,
			"recipient", ends->recipient, "recipient_keys", "ed25519", ends->recipient_ed, "keys", "ed25519", ends->sender_ed);

	if (sender_device_keys)
		json_object_set(plain, "sender_device_keys", sender_device_keys);
	return plain;
}

/* Whether the keys that came along are those of the device that wrote. */
static bool
is_device(const json_t *keys, const char *user_id, const char *curve, const char *ed)
{
	const char *device_id = json_text(keys, "device_id");
	struct peer_device device;

	return device_id && peer_read_device(&device, keys, user_id, device_id, NULL, NULL) == 0 && strcmp(device.curve, curve) == 0 &&
			strcmp(device.ed, ed) == 0;
}

int
envelope_check(const json_t *plain, const struct envelope_ends *ends, const char **type, const json_t **content)
{
	const char *ed = json_text(json_child(plain, "keys"), "ed25519");
	const json_t *device_keys = json_object_get(plain, "sender_device_keys");

	*type = json_text(plain, "type");
	*content = json_child(plain, "content");
	if (!*type || !*content || !ed)
		return ENVELOPE_E_FORM;
	if (!str_equal(json_text(plain, "sender"), ends->sender))
		return ENVELOPE_E_SENDER;
	if (!str_equal(json_text(plain, "recipient"), ends->recipient) ||
			!str_equal(json_text(json_child(plain, "recipient_keys"), "ed25519"), ends->recipient_ed))
		return ENVELOPE_E_RECIPIENT;
	if (ends->sender_ed && strcmp(ed, ends->sender_ed) != 0)
		return ENVELOPE_E_KEY;
	if ((device_keys || !ends->sender_ed) && !is_device(device_keys, ends->sender, ends->sender_curve, ed))
		return ENVELOPE_E_DEVICE;
	return 0;
}
