/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

/*
 * An intrusive, circular, doubly linked list. The head is a struct list; each member
 * embeds one, and its field says whose it is: `struct list link; // groups::all`.
 */

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

static inline void
list_init(struct list *head)
{
	head->prev = head->next = head;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void
list_append(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/* Removing twice is harmless. */
static inline void
list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

/* The current member may be removed from the list inside the loop. */
#define LIST_FOR_EACH(entry, head, type, member) \
	for (struct list *each_ = (head)->next, *after_ = each_->next; \
		each_ != (head) && ((entry) = LIST_ENTRY(each_, type, member)); each_ = after_, after_ = each_->next)

#endif
