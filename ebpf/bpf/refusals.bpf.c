// Watches system calls on files that fail in a sandbox, and tells user space
// what was tried. It only watches: no answer of the kernel changes.
//
// A sandbox is known by its PID namespace. A task never leaves the one that it
// was born in, and one that is nested deeper is found by its ancestor.

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0

#define EPERM 1
#define ENOENT 2
#define EACCES 13
#define EROFS 30
#define AT_FDCWD -100

#define MAX_CALLS 512
#define MAX_SLOTS 16384
#define MAX_LEVELS 4
#define MAX_NAMES 256
#define NAME_SIZE 256
#define PATH_SIZE 4096
#define WAKE_BYTES (256 << 10)

// The fields used of the kernel's structures; where they lie is found when the
// program is loaded.
#define KERNEL __attribute__((preserve_access_index))
struct qstr { const unsigned char *name; } KERNEL;
struct dentry { struct dentry *d_parent; struct qstr d_name; } KERNEL;
struct vfsmount { struct dentry *mnt_root; } KERNEL;
struct mount { struct mount *mnt_parent; struct dentry *mnt_mountpoint; struct vfsmount mnt; } KERNEL;
struct path { struct vfsmount *mnt; struct dentry *dentry; } KERNEL;
struct fs_struct { struct path pwd; } KERNEL;
struct file { struct path f_path; } KERNEL;
struct fdtable { unsigned int max_fds; struct file **fd; } KERNEL;
struct files_struct { struct fdtable *fdt; } KERNEL;
struct ns_common { unsigned int inum; } KERNEL;
struct pid_namespace { struct ns_common ns; } KERNEL;
struct upid { int nr; struct pid_namespace *ns; } KERNEL;
struct pid { unsigned int level; struct upid numbers[1]; } KERNEL;
struct task_struct { struct pid *thread_pid; struct task_struct *group_leader; struct fs_struct *fs; struct files_struct *files; } KERNEL;
#if defined(__TARGET_ARCH_x86)
struct pt_regs { unsigned long di, si, dx, r10, r8, r9, orig_ax; } KERNEL;
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs { unsigned long long regs[31]; unsigned long long orig_x0; int syscallno; } KERNEL;
#endif

// call says where in its arguments a system call has its paths. User space fills
// in the numbers of its architecture.
struct call {
	__u8 op; // 0: not watched
	__s8 dir, path; // argument positions; dir -1: the working directory
	__s8 dir2, path2; // path2 -1: there is none
	__s8 flags; // -1: there are none
	__u8 unused[2];
};

struct sandbox {
	__u32 slot;
	__u32 unused;
	__u64 id;
};

// slot counts one sandbox's events. Only the kernel writes it.
struct slot { __u64 emitted, dropped; };

struct event {
	__u64 sandbox;
	__u64 flags;
	__u32 pid; // in the sandbox's namespace
	__u32 error;
	__u16 op;
	__u16 path_len; // bytes of the path that was asked for, NUL included
	__u32 data_len; // the path, then the names above it, leaf first, each with a NUL
};

struct scratch {
	struct event e;
	char data[2 * PATH_SIZE + NAME_SIZE];
};

struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4 << 20); } events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct scratch); } scratches SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, MAX_CALLS); __type(key, __u32); __type(value, struct call); } calls SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, MAX_SLOTS); __type(key, __u32); __type(value, struct sandbox); __uint(map_flags, 1 /* no prealloc */); } sandboxes SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, MAX_SLOTS); __type(key, __u32); __type(value, struct slot); } slots SEC(".maps");
// How many events a slot may have emitted; only user space writes it.
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, MAX_SLOTS); __type(key, __u32); __type(value, __u64); } allowed SEC(".maps");

static __always_inline struct upid *number_at(struct pid *pid, __u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * sizeof(struct upid);
}

static __always_inline __u32 inum_at(struct pid *pid, __u32 level)
{
	struct pid_namespace *ns;
	if (bpf_core_read(&ns, sizeof(ns), &number_at(pid, level)->ns))
		return 0;
	return BPF_CORE_READ(ns, ns.inum);
}

static __always_inline __u32 nr_at(struct pid *pid, __u32 level)
{
	int nr = 0;
	bpf_core_read(&nr, sizeof(nr), &number_at(pid, level)->nr);
	return nr;
}

struct walk {
	struct dentry *dentry;
	struct mount *mount;
	struct scratch *s;
	__u32 off;
	__u32 whole; // the root was reached
};

static long step(__u32 i, struct walk *w)
{
	// In variables of their own: fields of walk are not the kernel's.
	struct dentry *dentry = w->dentry;
	struct mount *mount = w->mount;
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount) {
			w->whole = 1;
			return 1;
		}
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		w->mount = above;
		return 0;
	}
	if (dentry == parent)
		return 1;
	__u32 off = w->off;
	if (off >= 2 * PATH_SIZE)
		return 1;
	// Hides from the compiler what it knows of off, so that it keeps the mask
	// below, which Linux 6.1 wants to see.
	asm volatile("" : "+r"(off));
	long n = bpf_probe_read_kernel_str(&w->s->data[off & (2 * PATH_SIZE - 1)], NAME_SIZE, BPF_CORE_READ(dentry, d_name.name));
	if (n <= 1)
		return 1;
	w->off = off + n;
	w->dentry = parent;
	return 0;
}

// name_directory writes at off the names from the directory that a relative path
// starts at up to the root. It returns where they end, 0 if they are unknown.
static __always_inline __u32 name_directory(struct task_struct *task, int dirfd, struct scratch *s, __u32 off)
{
	struct path at = {};
	if (dirfd == AT_FDCWD) {
		at.mnt = BPF_CORE_READ(task, fs, pwd.mnt);
		at.dentry = BPF_CORE_READ(task, fs, pwd.dentry);
	} else {
		struct fdtable *table = BPF_CORE_READ(task, files, fdt);
		struct file **files = BPF_CORE_READ(table, fd), *file = 0;
		if (dirfd < 0 || dirfd >= BPF_CORE_READ(table, max_fds))
			return 0;
		if (bpf_core_read(&file, sizeof(file), &files[dirfd]) || !file)
			return 0;
		at.mnt = BPF_CORE_READ(file, f_path.mnt);
		at.dentry = BPF_CORE_READ(file, f_path.dentry);
	}
	if (!at.mnt || !at.dentry)
		return 0;
	struct walk w = {
		.dentry = at.dentry,
		.mount = (void *)at.mnt - bpf_core_field_offset(struct mount, mnt),
		.s = s,
		.off = off,
	};
	bpf_loop(MAX_NAMES, step, &w, 0);
	return w.whole ? w.off : 0;
}

static __always_inline __u64 argument(struct pt_regs *regs, int i)
{
#if defined(__TARGET_ARCH_x86)
	switch (i) {
	case 0: return regs->di;
	case 1: return regs->si;
	case 2: return regs->dx;
	case 3: return regs->r10;
	case 4: return regs->r8;
	}
	return 0;
#elif defined(__TARGET_ARCH_arm64)
	switch (i) {
	case 0: return regs->orig_x0;
	case 1: return regs->regs[1];
	case 2: return regs->regs[2];
	case 3: return regs->regs[3];
	case 4: return regs->regs[4];
	}
	return 0;
#endif
}

struct attempt {
	struct task_struct *task;
	struct scratch *s;
	struct sandbox *box;
};

static __always_inline void emit(struct attempt *a, __u32 path_len, __u32 data_len)
{
	struct scratch *s = a->s;
	struct slot *slot = bpf_map_lookup_elem(&slots, &a->box->slot);
	__u64 *limit = bpf_map_lookup_elem(&allowed, &a->box->slot);
	if (!slot || !limit)
		return;
	if (slot->emitted >= *limit || data_len > sizeof(s->data)) {
		__sync_fetch_and_add(&slot->dropped, 1);
		return;
	}
	s->e.path_len = path_len;
	s->e.data_len = data_len;
	__u64 wake = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= WAKE_BYTES ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_output(&events, s, sizeof(s->e) + data_len, wake))
		__sync_fetch_and_add(&slot->dropped, 1);
	else
		__sync_fetch_and_add(&slot->emitted, 1);
}

static __always_inline void report(struct attempt *a, const char *user, int dirfd)
{
	struct scratch *s = a->s;
	long n = bpf_probe_read_user_str(s->data, PATH_SIZE, user);
	if (n <= 1 || n > PATH_SIZE)
		return;
	__u32 end = n;
	// Of absolute paths, only /workspace and /output lead to the codebase.
	if (s->data[0] != '/')
		end = name_directory(a->task, dirfd, s, n);
	else if (s->data[1] != 'w' && s->data[1] != 'o')
		return;
	if (end)
		emit(a, n, end);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(refusal, struct pt_regs *regs, long ret)
{
	if (ret != -ENOENT && ret != -EACCES && ret != -EPERM && ret != -EROFS)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level), at = 0;
	struct sandbox *box = 0;
	for (__u32 i = 1; i <= MAX_LEVELS && !box; i++) {
		if (i > level)
			return 0;
		__u32 inum = inum_at(pid, i);
		box = bpf_map_lookup_elem(&sandboxes, &inum);
		at = i;
	}
	if (!box)
		return 0;
#if defined(__TARGET_ARCH_x86)
	__u32 nr = regs->orig_ax;
#else
	__u32 nr = regs->syscallno;
#endif
	struct call *call = bpf_map_lookup_elem(&calls, &nr);
	if (!call || !call->op)
		return 0;
	__u32 zero = 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s)
		return 0;
	s->e.pid = nr_at(BPF_CORE_READ(task, group_leader, thread_pid), at);
	if (s->e.pid == 1) // the worker, for the daemon
		return 0;
	s->e.sandbox = box->id;
	s->e.error = -ret;
	s->e.op = call->op;
	s->e.flags = call->flags < 0 ? 0 : argument(regs, call->flags);
	struct attempt a = {.task = task, .s = s, .box = box};
	report(&a, (void *)argument(regs, call->path), call->dir < 0 ? AT_FDCWD : (int)argument(regs, call->dir));
	if (call->path2 >= 0)
		report(&a, (void *)argument(regs, call->path2), call->dir2 < 0 ? AT_FDCWD : (int)argument(regs, call->dir2));
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
