/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_RATCHET_VECTORS_H
#define TESTS_UNIT_RATCHET_VECTORS_H

/* An account that libolm 3.2.13 saved, and what vodozemac (its Python module, 0.10.0) sent to it and to a room. */

static const char vodozemac_account[] =
	"U6h8HkTUDxXA67ZC/Wqe1FE7FZaJ/VOrK+JKWII6sj2X2pqkaRlLWhMULc10E3aDD2Q8/mNSwlbVJSU767i7yKoHsJTFsuTPCe2neAPkZNOMMszjBeTuI0KM"
	"DP+aICleS04WSVICy5Q5/9P6HgTjcqY+RW37NI6b7Nz0gRSD//ziLoxuB8sF0Oixejt0nmxUZzL0ot3tbfI9gLy5L1M5HlFOqXCt51bQWVkk8pl5qXmZ+hda"
	"ygW5RHTFn0QHreQixMdOHVJ+PpBLHya2z/mTKpFxTB+g5JpEVjwVAd+iSeQJ9n4diMXzGA+WqB1AFGz8Tni3Fr37MAayYxVLXzLS1LSBoWbq+BGE";
static const char vodozemac_curve[] =
	"LPt5y1UkxPVkUAWFo9MsIuxxdrWimco3obM6OguU8ng";
static const char vodozemac_pre_key[] =
	"AwogMZpXeNbRTZfU3etPw/TkG2/K3gnpsKEHtxT4w5htmGYSINJATBggEeGm1FriZ6Al2Jh4ok9Zz2cORyK1SkCdg0pvGiAs+3nLVSTE9WRQBYWj0ywi7HF2"
	"taKZyjehszo6C5TyeCJPAwogb9XxMfNXTLAQQ8VGw50x4XAwfJSqfoDK0eolCeiaqQ0QACIgFNLiYf8cEv+lUv/UXKFXOTU7QlWOL0t1uDZJEFWdwTMekQaY"
	"VvDhuQ";
static const char vodozemac_pre_key_2[] =
	"AwogMZpXeNbRTZfU3etPw/TkG2/K3gnpsKEHtxT4w5htmGYSINJATBggEeGm1FriZ6Al2Jh4ok9Zz2cORyK1SkCdg0pvGiAs+3nLVSTE9WRQBYWj0ywi7HF2"
	"taKZyjehszo6C5TyeCI/Awogb9XxMfNXTLAQQ8VGw50x4XAwfJSqfoDK0eolCeiaqQ0QASIQX621ZEnw2cAEnZ6Kkm874W066XrXAHOE";
static const char vodozemac_session_key[] =
	"AgAAAABdFYC8h2sg9HtjUJfmhtQsthGN/M9fTT/0V6/Oax615J7X8lVRSztlVzE/N0IanTqS9m5FjkC3JdfBLX/6P1yUMXN3LFpxDxl8etXvve7OBkukuC5L"
	"OJVOolaH77jM3YHwjg/vXEMv2a3rGIPRBQvAwlrvcsnFOMgEhea3ZPRFBhUbwn0874WunNVymGYVyEgCw7mp6w196sy0qe8hZxqvWzrzXmigr4cNfnxr8TMr"
	"B0MmsGfZqG/ftYcFr9bYpGjToKQGenn48Xvb6YLfhJJ4bbISvK5XWnZBZczxQfwqCg";
static const char vodozemac_group_message[] =
	"AwgBEhDUnTF6CPdDNYo8qn4rftt6MxFJoa11NbuezcBjLSLLGeUui/2mJ0DblfVDz6mgrFCl0S2EGY9JnO8shQUmhA4cVRwPCwKRRiSenAs1SCoqcdvVT5DR"
	"9dMF";

#endif
