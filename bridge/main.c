/* SPDX-License-Identifier: Apache-2.0 */
/* The program's first and last line; everything else is in libbridge.a, where tests reach it. */
#include "cli/cli.h"

int
main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
