/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A module with one mistake of each kind that debug_machine.sh has to notice, made when
 * it is loaded: insmod selftest.ko mistake=NAME. Without a name it makes none.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

static char *mistake = "none";
module_param(mistake, charp, 0);

struct thing {
	struct delayed_work work;
	refcount_t count;
	int value;
};

static DEFINE_SPINLOCK(spin);
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static struct thing __rcu *current_thing;
static struct thing *volatile only;

static void thing_work(struct work_struct *work)
{
}

static struct thing *thing_new(void)
{
	struct thing *thing = kzalloc(sizeof(*thing), GFP_KERNEL);

	if (!thing)
		return NULL;
	INIT_DELAYED_WORK(&thing->work, thing_work);
	refcount_set(&thing->count, 1);
	return thing;
}

static void make_none(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	kfree(thing_new());
	mutex_unlock(&second);
	mutex_unlock(&first);
}

static void make_atomic(void)
{
	spin_lock(&spin);
	mutex_lock(&first);
	mutex_unlock(&first);
	spin_unlock(&spin);
}

static void make_count(void)
{
	struct thing *thing = thing_new();

	refcount_dec(&thing->count);
	kfree(thing);
}

/* Freed while its work is still to be done; the kernel mends that. */
static void make_object(void)
{
	struct thing *thing = thing_new();

	schedule_delayed_work(&thing->work, HZ);
	kfree(thing);
}

static void make_shift(void)
{
	volatile int bits = 77;

	pr_info("selftest: %d\n", 1 << bits);
}

static void make_rcu(void)
{
	rcu_dereference(current_thing);
}

static void make_order(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void make_freed(void)
{
	only = thing_new();
	kfree(only);
	only->value = 1;
	only = NULL;
}

static void make_beyond(void)
{
	char *bytes = kmalloc(13, GFP_KERNEL);

	((volatile char *)bytes)[13] = 1;
	kfree(bytes);
}

static void make_lost(void)
{
	only = thing_new();
	only = NULL;
}

static void make_crash(void)
{
	only = NULL;
	only->value = 1;
}

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{ "none", make_none },     { "atomic", make_atomic }, { "count", make_count },
	{ "object", make_object }, { "shift", make_shift },   { "rcu", make_rcu },
	{ "order", make_order },   { "freed", make_freed },   { "beyond", make_beyond },
	{ "lost", make_lost },     { "crash", make_crash },
};

static int __init selftest_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++) {
		if (!strcmp(mistakes[i].name, mistake)) {
			mistakes[i].make();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit selftest_exit(void)
{
}

module_init(selftest_init);
module_exit(selftest_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Mistakes for a kernel that watches itself");
