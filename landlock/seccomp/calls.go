package seccomp

// coreCalls need no look at their arguments.
const coreCalls = `
	read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2
	openat openat2 close close_range lseek dup dup3 fcntl flock
	fstat newfstatat statx statfs fstatfs getdents64 readlinkat
	faccessat faccessat2 fchmod fchmodat fchmodat2 fchown fchownat
	mkdirat unlinkat linkat symlinkat renameat2 truncate ftruncate
	fallocate fsync fdatasync sync_file_range fadvise64 readahead
	utimensat umask chdir fchdir getcwd sendfile copy_file_range
	splice tee vmsplice pipe2 cachestat
	setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
	listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr
	setxattrat getxattrat listxattrat removexattrat
	inotify_init1 inotify_add_watch inotify_rm_watch
	epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 pselect6 ppoll
	eventfd2 signalfd4 timerfd_create timerfd_settime timerfd_gettime

	mmap munmap mprotect mremap msync madvise mincore brk mseal
	mlock mlock2 munlock mlockall munlockall membarrier memfd_create
	pkey_mprotect pkey_alloc pkey_free get_mempolicy

	execve execveat exit exit_group wait4 waitid
	getpid getppid gettid getpgid setpgid getsid setsid set_tid_address
	getuid geteuid getgid getegid getresuid getresgid getgroups
	setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid
	setgroups capget capset
	getrlimit setrlimit prlimit64 getrusage getpriority setpriority
	ioprio_get ioprio_set times sysinfo uname getcpu rseq
	sched_yield sched_getaffinity sched_setaffinity sched_getparam
	sched_setparam sched_getscheduler sched_setscheduler sched_getattr
	sched_setattr sched_get_priority_max sched_get_priority_min
	sched_rr_get_interval
	futex futex_waitv futex_wake futex_wait futex_requeue
	set_robust_list get_robust_list restart_syscall getrandom
	landlock_create_ruleset landlock_add_rule landlock_restrict_self

	kill tkill tgkill pidfd_open pidfd_send_signal
	rt_sigaction rt_sigprocmask rt_sigpending rt_sigreturn rt_sigsuspend
	rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack

	gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep
	getitimer setitimer timer_create timer_settime timer_gettime
	timer_getoverrun timer_delete

	bind connect listen accept accept4 getsockname getpeername
	getsockopt sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg
	shutdown

	shmget shmat shmdt shmctl semget semop semtimedop semctl
	msgget msgsnd msgrcv msgctl
	mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
`

// refused are calls that the kernel has and no sandbox gets. The ones that
// programs probe for and can do without are not here: they are ENOSYS, like
// io_uring and the new mount API, and io_setup and its kin, which take from what
// the whole host has (fs.aio-max-nr). sync and syncfs make the host write out all
// that anybody has changed; to say that they worked would be a lie.
const refused = `
	sync syncfs mount umount2 pivot_root chroot setns swapon swapoff quotactl quotactl_fd
	acct reboot sethostname setdomainname syslog vhangup
	init_module finit_module delete_module kexec_load kexec_file_load
	bpf perf_event_open userfaultfd fanotify_init fanotify_mark
	name_to_handle_at open_by_handle_at lookup_dcookie nfsservctl
	add_key request_key keyctl
	settimeofday adjtimex clock_settime clock_adjtime
	mbind set_mempolicy set_mempolicy_home_node migrate_pages move_pages
	remap_file_pages process_madvise process_mrelease memfd_secret pidfd_getfd
` + debugCalls

// debugCalls are allowed by the group debug. They reach processes of the same
// sandbox only: the PID namespace holds no other.
const debugCalls = ` ptrace process_vm_readv process_vm_writev kcmp `
