/* SPDX-License-Identifier: Apache-2.0 */
/* An arena lives as long as one row's judgement: a chain of blocks, freed together. */
#include "core/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096

struct block {
	struct block *next;
	size_t used, room;
	max_align_t bytes[];
};

void
arena_init(struct arena *arena)
{
	arena->blocks = NULL;
}

void
arena_fini(struct arena *arena)
{
	while (arena->blocks) {
		struct block *next = arena->blocks->next;
		mem_free_secret(arena->blocks, arena->blocks->used);
		arena->blocks = next;
	}
}

void *
arena_take(struct arena *arena, size_t size)
{
	struct block *block = arena->blocks;

	size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	if (!block || block->room - block->used < size) {
		size_t room = size > BLOCK ? size : BLOCK;
		block = xcalloc(1, sizeof(*block) + room);
		block->room = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	void *p = (char *)block->bytes + block->used;
	block->used += size;
	return p;
}

char *
arena_copy(struct arena *arena, const char *text)
{
	if (!text)
		return NULL;
	size_t n = strlen(text) + 1;
	return memcpy(arena_take(arena, n), text, n);
}
