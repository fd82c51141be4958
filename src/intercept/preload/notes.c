/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each slot is a sequence lock: a writer makes the version odd, writes, and makes it even
 * again; a reader that saw it change looks elsewhere. A writer that dies leaves a slot
 * that nobody uses any more. A key lives in one of a few slots behind its hash, in any
 * level; levels are looked through in order, so that all see the same of two notes that
 * were made for one key at once.
 */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "intercept/preload/notes.h"

#define WINDOW 8

#define VERSION_WRITING 1
#define VERSION_USED    2
#define VERSION_STEP    4

struct notes_slot {
	_Atomic uint64_t version;
	_Atomic uint64_t words[]; /* key, value */
};

static size_t slot_size(const struct notes *notes)
{
	return 8 * (1u + notes->key_words + notes->value_words);
}

static size_t n_slots(const struct notes *notes, unsigned int level)
{
	return (size_t)1 << (notes->first_bits + level);
}

static struct notes_slot *slot_at(const struct notes *notes, struct notes_slot *level,
				  size_t i)
{
	return (struct notes_slot *)((char *)level + i * slot_size(notes));
}

static uint64_t hash_key(const struct notes *notes, const uint64_t *key)
{
	uint64_t hash = 0x9e3779b97f4a7c15u;

	for (unsigned int i = 0; i < notes->key_words; i++) {
		hash = (hash ^ key[i]) * 0xff51afd7ed558ccdu;
		hash ^= hash >> 32;
	}
	return hash;
}

static bool has_key(const struct notes *notes, const struct notes_slot *slot,
		    const uint64_t *key)
{
	for (unsigned int i = 0; i < notes->key_words; i++)
		if (atomic_load_explicit(&slot->words[i], memory_order_relaxed) != key[i])
			return false;
	return true;
}

/* Return: whether @slot holds @key, and all of @value belongs to it. */
static bool read_slot(const struct notes *notes, struct notes_slot *slot,
		      const uint64_t *key, uint64_t *value)
{
	uint64_t version = atomic_load_explicit(&slot->version, memory_order_acquire);

	if ((version & (VERSION_USED | VERSION_WRITING)) != VERSION_USED ||
	    !has_key(notes, slot, key))
		return false;
	for (unsigned int i = 0; i < notes->value_words; i++)
		value[i] = atomic_load_explicit(&slot->words[notes->key_words + i],
						memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&slot->version, memory_order_relaxed) == version;
}

/* Return: whether the slot is the caller's to write, as it was when @version was read. */
static bool begin(struct notes_slot *slot, uint64_t version)
{
	if (version & VERSION_WRITING ||
	    !atomic_compare_exchange_strong_explicit(&slot->version, &version,
						     version | VERSION_WRITING,
						     memory_order_acquire,
						     memory_order_relaxed))
		return false;
	atomic_thread_fence(memory_order_release);
	return true;
}

static void end(struct notes_slot *slot, uint64_t used)
{
	uint64_t version = atomic_load_explicit(&slot->version, memory_order_relaxed);

	version &= ~(uint64_t)(VERSION_WRITING | VERSION_USED);
	atomic_store_explicit(&slot->version, (version + VERSION_STEP) | used,
			      memory_order_release);
}

static void write_words(struct notes_slot *slot, unsigned int at, const uint64_t *words,
			unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		atomic_store_explicit(&slot->words[at + i], words[i],
				      memory_order_relaxed);
}

static bool overwrite(const struct notes *notes, struct notes_slot *slot,
		      uint64_t version, const uint64_t *key, const uint64_t *value)
{
	if (!begin(slot, version))
		return false;
	write_words(slot, 0, key, notes->key_words);
	write_words(slot, notes->key_words, value, notes->value_words);
	end(slot, VERSION_USED);
	return true;
}

static struct notes_slot *level_get(struct notes *notes, unsigned int level)
{
	size_t size = n_slots(notes, level) * slot_size(notes);
	struct notes_slot *found = atomic_load(&notes->levels[level]), *made;

	if (found)
		return found;
	made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (made == MAP_FAILED)
		return NULL;
	if (atomic_compare_exchange_strong(&notes->levels[level], &found, made))
		return made;
	munmap(made, size);
	return found;
}

/* The slots that may hold a key, one after another. */
struct walk {
	struct notes *notes;
	uint64_t hash;
	unsigned int level, i;
};

static struct notes_slot *walk_next(struct walk *walk)
{
	struct notes_slot *level;

	if (walk->i == WINDOW) {
		walk->i = 0;
		walk->level++;
	}
	if (walk->level == walk->notes->n_levels)
		return NULL;
	level = atomic_load_explicit(&walk->notes->levels[walk->level],
				     memory_order_acquire);
	if (!level)
		return NULL;
	return slot_at(walk->notes, level,
		       (walk->hash + walk->i++) &
			       (n_slots(walk->notes, walk->level) - 1));
}

bool notes_is_empty(struct notes *notes)
{
	return !atomic_load_explicit(&notes->levels[0], memory_order_relaxed);
}

bool notes_find(struct notes *notes, const void *key, void *ret_value)
{
	struct walk walk = { notes, hash_key(notes, key) };
	struct notes_slot *slot;
	uint64_t value[NOTES_WORDS_MAX];

	while ((slot = walk_next(&walk))) {
		if (!read_slot(notes, slot, key, value))
			continue;
		memcpy(ret_value, value, 8u * notes->value_words);
		return true;
	}
	return false;
}

static bool update(struct notes *notes, uint64_t hash, const uint64_t *key,
		   const uint64_t *value)
{
	struct walk walk = { notes, hash };
	struct notes_slot *slot;

	while ((slot = walk_next(&walk))) {
		uint64_t version =
			atomic_load_explicit(&slot->version, memory_order_acquire);

		if (version & VERSION_USED && has_key(notes, slot, key) &&
		    overwrite(notes, slot, version, key, value))
			return true;
	}
	return false;
}

static bool insert(struct notes *notes, uint64_t hash, const uint64_t *key,
		   const uint64_t *value)
{
	struct walk walk = { notes, hash };
	struct notes_slot *slot;

	while ((slot = walk_next(&walk))) {
		uint64_t version =
			atomic_load_explicit(&slot->version, memory_order_acquire);

		if (!(version & VERSION_USED) &&
		    overwrite(notes, slot, version, key, value))
			return true;
	}
	if (walk.level == notes->n_levels || !level_get(notes, walk.level))
		return false;
	return insert(notes, hash, key, value);
}

/* One of the key's slots in the last level there is, in turn. */
static void evict(struct notes *notes, uint64_t hash, const uint64_t *key,
		  const uint64_t *value)
{
	uint32_t turn =
		atomic_fetch_add_explicit(&notes->n_evicted, 1, memory_order_relaxed);
	unsigned int level = notes->n_levels;
	struct notes_slot *slots = NULL, *slot;

	while (level > 0 && !slots)
		slots = atomic_load(&notes->levels[--level]);
	if (!slots)
		return;
	slot = slot_at(notes, slots,
		       (hash + turn % WINDOW) & (n_slots(notes, level) - 1));
	overwrite(notes, slot, atomic_load(&slot->version), key, value);
}

void notes_set(struct notes *notes, const void *key, const void *value)
{
	uint64_t hash = hash_key(notes, key);

	if (!level_get(notes, 0) || update(notes, hash, key, value) ||
	    insert(notes, hash, key, value))
		return;
	evict(notes, hash, key, value);
}

void notes_forget(struct notes *notes, const void *key)
{
	struct walk walk = { notes, hash_key(notes, key) };
	struct notes_slot *slot;

	while ((slot = walk_next(&walk))) {
		uint64_t version =
			atomic_load_explicit(&slot->version, memory_order_acquire);

		if (version & VERSION_USED && has_key(notes, slot, key) &&
		    begin(slot, version))
			end(slot, 0);
	}
}
