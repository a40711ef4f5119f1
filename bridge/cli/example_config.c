/* SPDX-License-Identifier: Apache-2.0 */
/* packaging/example.config.yaml, compiled in line by line, so that it is at hand wherever the program is. */
#include "cli/cli.h"

#include "cli/example_config.h"

#include <stdio.h>

int
cli_example_config(const struct cli_options *options)
{
	(void)options;
	for (const char *const *line = example_config; *line; line++)
		if (fputs(*line, stdout) == EOF)
			return cli_fail(CLI_PROBLEM, "standard output cannot be written");
	return CLI_FINE;
}
