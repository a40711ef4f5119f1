/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_RATCHET_VECTORS_H
#define TESTS_UNIT_RATCHET_VECTORS_H

/* An account and a session that libolm 3.2.13 saved, and what vodozemac (its Python module, 0.10.0) sent to them and to a room. */

static const char *const libolm_account =
	"igJ03M/EeBRI4o4ptVkiR0IRh0vmb9FUgBLEHnSDF4kjML3QKoiv1SaXjsAej0J3jq7XdDPHCBIzQBhvzBYQ1aJIQ7c79SiEFic3I88PeiARTXoGuPGsVTMM"
	"Lo+h3mXx8VLWJ9KVsGAZpCs2tSx3MHmZDzUdabUXC8ITwTsBtG9lN57xH42YojCq9Hw6DEPUa0rV6yh86LP0i46XfefRAW2Q9TKo59uEFmXzmvXeOex49JFm"
	"VNwmSc5GBS0f5GttcD8tnWNS/my4hJo5nJlM92CHK2h+i1fgv93uzBT5pkweHEZAwfMCUbQpSdfliCIo5SKlqcW9TY/IAIeHEsfKF5ay+kHyasmG";
static const char *const vodozemac_curve =
	"mYOyzaYNweBk2YoR5EcYy5O3vt6DpRp9f7GvSHYtnUU";
static const char *const vodozemac_pre_key =
	"AwogBiNqw5mnEU0/QPO6byDi6pHLRujnVwxQ/QB72rL0JDgSIAU9RAWu7WTn2j32hlKz5Z2+2w90jnau9GnpIUqcmUcsGiCZg7LNpg3B4GTZihHkRxjLk7e+"
	"3oOlGn1/sa9Idi2dRSJPAwogaEBvUsZ/1SHdcH4KAjaG03ucQfV0H2N4XkD1IEXw+EAQACIg77aO6RlzdmGGdn8gqJZQYfzZxv8qMX7fjsdmQB2/NTMkCohg"
	"Ddni5w";
static const char *const vodozemac_pre_key_2 =
	"AwogBiNqw5mnEU0/QPO6byDi6pHLRujnVwxQ/QB72rL0JDgSIAU9RAWu7WTn2j32hlKz5Z2+2w90jnau9GnpIUqcmUcsGiCZg7LNpg3B4GTZihHkRxjLk7e+"
	"3oOlGn1/sa9Idi2dRSI/AwogaEBvUsZ/1SHdcH4KAjaG03ucQfV0H2N4XkD1IEXw+EAQASIQqwH75y/GnYGJoQHRHFK0JByOshSG0Dud";
static const char *const libolm_session =
	"LNvAMH4xAkmf8cdQTyDkCDKZM6piwGwPOLTJtdMokofERZG2u6zLllbAwYEkjcixkASTDajQSldSOdL7Bl9qVYJgxVDEw3qUIGi+XfPkhltzNog9V52973XM"
	"fPcn53o8WavoGo43KKOFxhPvzpUMlqSnrIwNiH7JL94w3Sn7X1/nSw9Bss3sBz8e7a53ysFF0eScwHmy/Jk/L1vH0kc10BpFO22Wibb1wH50xs/ohCfEOOjg"
	"ZtD1/zzLJM3rXBiCefsqDxM3lIfWU9ifoYtd2769iNjzTyRvuVxycM+P1HOwyMLS+FeOoTE4crZQli8zccdvNTV8tZijamx80Unuwkh5n/tZTLRj";
static const char *const vodozemac_answer =
	"AwogDfA+MiluFHABneP8Ei1KdrlXBrx3anXSftKX0VzIB1gQACIQiSgrbLbojROLvJ0CnMCO9u76pBySeNt3";
static const char *const vodozemac_session_key =
	"AgAAAAAYZkTceZYlMj25PiO9Di7CH5g+yp2YYdqaWTegxKJEKzC4Qq0oMv7iwCrZEys0kRidR08g7OgK4vhhcmym3oAY8FpKIrXKAy+6nY8ks6sCpluycOe0"
	"ikC4zkT95+BT/zbwQIM+oneZkuLT6YwMN1prtvxyyWxGkObNOuNFcG0fP3WqhJd4IR+ynWZfsGH1CA3KjRf2W0WFgk7U09uPpw7qO67KayNDaziEbdDC8PJz"
	"9rCCw2rEW+sVek14OjagzpI56sWLK+UJq4m5oiXwsNO58vIG1VZj9HV85JBAVRDWBg";
static const char *const vodozemac_group_message =
	"AwgBEhCykI+M/FR0IFGSQFo1QbPoVAJzDB1MMHq9ipXcLvFSdGZTSzVn5QDakwcxc2VHUFXQ7bMu8J3eSrSEqLKNPx9EWcLipWoKKRj6IsNPS4IM+gvvgCOA"
	"V68G";

#endif
