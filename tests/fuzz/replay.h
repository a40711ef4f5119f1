/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_REPLAY_H
#define TESTS_FUZZ_REPLAY_H

/*
 * Without libFuzzer, a target replays files: those named, else its corpus tests/fuzz/corpus/NAME. TAP. A target that
 * finds something wrong aborts.
 */

#include <glob.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZING
static int
replay(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "re");

	if (!file)
		return 1;
	size_t n = fread(data, 1, sizeof(data), file);
	fclose(file);
	/* A copy of just that size, so that a read beyond it is seen. */
	uint8_t *copy = malloc(n ? n : 1);
	for (size_t i = 0; copy && i < n; i++)
		copy[i] = data[i];
	int r = copy ? LLVMFuzzerTestOneInput(copy, n) : 1;
	free(copy);
	return r;
}

static int
replay_all(const char *name, int argc, char **argv)
{
	glob_t corpus = { 0 };
	const char *top = getenv("top_srcdir");
	char pattern[4096];

	snprintf(pattern, sizeof(pattern), "%s/tests/fuzz/corpus/%s/*", top ? top : ".", name);
	char **files = argv + 1;
	size_t count = argc > 1 ? (size_t)argc - 1 : 0;
	if (!count && glob(pattern, 0, NULL, &corpus) == 0) {
		files = corpus.gl_pathv;
		count = corpus.gl_pathc;
	}
	printf("1..%zu\n", count);
	int failed = count == 0;
	for (size_t i = 0; i < count; i++) {
		int r = replay(files[i]);
		failed |= r;
		printf("%s %zu - %s\n", r == 0 ? "ok" : "not ok", i + 1, files[i]);
	}
	globfree(&corpus);
	return failed;
}

#define REPLAY_MAIN(name) \
	int main(int argc, char **argv) { return replay_all(name, argc, argv); }
#else
#define REPLAY_MAIN(name)
#endif

#endif
