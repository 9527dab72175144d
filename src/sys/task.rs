// SPDX-License-Identifier: GPL-2.0

//! Threads and their program images.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h).

use super::{
    bindings,
    seq_file::Output, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings as kbindings,
    cred::Credential,
    prelude::*,
    sync::aref::ARef,
    task::Task,
    types::NotThreadSafe, //
};

/// A reference on the kernel's `struct pid` of one thread.
///
/// Unlike a number it is never used again for another thread, and unlike a task it does not keep
/// the memory of a dead one.
///
/// # Invariants
///
/// The pointer is valid, and this object owns a reference on it.
pub(crate) struct ThreadPid(NonNull<kbindings::pid>);

// SAFETY: `put_pid` can be called from any thread, and a `struct pid` belongs to no thread.
unsafe impl Send for ThreadPid {}

// SAFETY: All access through a shared reference is synchronised by the C side.
unsafe impl Sync for ThreadPid {}

impl ThreadPid {
    /// The calling thread's.
    pub(crate) fn current() -> Result<Self> {
        // SAFETY: `current` is always valid; the function returns a reference of its own.
        let pid = unsafe {
            kbindings::get_task_pid(Task::current_raw(), kbindings::pid_type_PIDTYPE_PID)
        };

        // INVARIANT: The reference that `get_task_pid` took passes to the new object.
        Ok(Self(NonNull::new(pid).ok_or(ESRCH)?))
    }

    /// The thread, unless it is gone.
    pub(crate) fn thread(&self) -> Option<Thread> {
        // SAFETY: The pointer is valid by the type invariant.
        unsafe { Thread::of_pid(self.0.as_ptr()) }
    }

    /// The thread's number as the current task sees it; 0 when it is not visible to that.
    pub(crate) fn number_for_current(&self) -> i32 {
        // SAFETY: The pointer is valid by the type invariant.
        unsafe { bindings::keyagent_helper_current_pid_nr_of(self.0.as_ptr()) }
    }

    /// The thread's number as the reader of `out` sees it; 0 when it is not visible there.
    pub(crate) fn number_for(&self, out: &Output<'_>) -> i32 {
        // SAFETY: Both pointers are valid, and `out` is a file of a proc mount: a key type's
        // describe operation is only called for /proc/keys.
        unsafe { bindings::keyagent_helper_seq_pid_nr(out.as_ptr(), self.0.as_ptr()) }
    }
}

impl Drop for ThreadPid {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this object owns a reference, which is given up here.
        unsafe { kbindings::put_pid(self.0.as_ptr()) };
    }
}

/// Counts the program images of a process: every exec changes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExecId(u64);

impl ExecId {
    /// The calling thread's.
    pub(crate) fn current() -> Self {
        // SAFETY: `current` is always valid.
        Self(unsafe { bindings::keyagent_helper_task_exec_id(Task::current_raw()) })
    }
}

/// A thread of some process.
pub(crate) struct Thread(ARef<Task>);

impl Thread {
    pub(super) fn as_ptr(&self) -> *mut kbindings::task_struct {
        self.0.as_ptr()
    }

    /// The thread that a `struct pid` stands for, unless it is gone.
    ///
    /// # Safety
    ///
    /// `pid` must be valid.
    pub(super) unsafe fn of_pid(pid: *mut kbindings::pid) -> Option<Self> {
        // SAFETY: The caller promises that the pointer is valid.
        let task = unsafe { kbindings::get_pid_task(pid, kbindings::pid_type_PIDTYPE_PID) };

        // SAFETY: `get_pid_task` took a reference for its caller, which passes to the `ARef`.
        // CAST: `Task` is a transparent wrapper of `struct task_struct`.
        NonNull::new(task.cast()).map(|task| Self(unsafe { ARef::from_raw(task) }))
    }

    /// Whether the memory of the thread's process is its user's to look into: it has not had
    /// privileges that it dropped since, and has not asked that nobody looks.
    pub(crate) fn is_dumpable(&self) -> bool {
        // SAFETY: The task is valid.
        unsafe { bindings::keyagent_helper_task_is_dumpable(self.as_ptr()) }
    }

    /// Whether the thread can gain no privileges by exec any more.
    pub(crate) fn has_no_new_privs(&self) -> bool {
        // SAFETY: The task is valid.
        unsafe { bindings::keyagent_helper_task_no_new_privs(self.as_ptr()) }
    }

    /// Whether all security modules give both threads the same label. Without one that labels
    /// tasks, they do.
    pub(crate) fn has_label_of(&self, other: &Self) -> bool {
        // SAFETY: Both tasks are valid.
        unsafe { bindings::keyagent_helper_task_same_label(self.as_ptr(), other.as_ptr()) }
    }

    /// Whether the thread has begun to exit.
    pub(crate) fn is_exiting(&self) -> bool {
        // SAFETY: The task is valid.
        unsafe { bindings::keyagent_helper_task_is_exiting(self.as_ptr()) }
    }

    /// Whether the thread has exited but for what is left of it for its parent.
    pub(crate) fn has_exited(&self) -> bool {
        // SAFETY: The task is valid.
        unsafe { bindings::keyagent_helper_task_has_exited(self.as_ptr()) }
    }

    /// Whether the thread is in exec(2), be it before the new program is certain to run.
    pub(crate) fn is_in_exec(&self) -> bool {
        // SAFETY: The task is valid.
        unsafe { bindings::keyagent_helper_task_is_in_exec(self.as_ptr()) }
    }

    /// The number of the program image that the thread runs now.
    pub(crate) fn exec_id(&self) -> ExecId {
        // SAFETY: The task is valid.
        ExecId(unsafe { bindings::keyagent_helper_task_exec_id(self.as_ptr()) })
    }

    /// The number of the thread's process in the initial pid namespace.
    pub(crate) fn tgid(&self) -> i32 {
        // SAFETY: The task is valid.
        unsafe { bindings::keyagent_helper_task_tgid(self.as_ptr()) }
    }

    /// The number of the other thread's process in the pid namespace of this thread; 0 when it is
    /// not visible there.
    pub(crate) fn number_of(&self, other: &Self) -> i32 {
        // SAFETY: Both tasks are valid.
        unsafe { bindings::keyagent_helper_tgid_seen_by(other.as_ptr(), self.as_ptr()) }
    }

    /// Whether it is one of the calling process' threads.
    pub(crate) fn is_of_current_process(&self) -> bool {
        self.tgid() == current_tgid()
    }

    /// The thread's objective credentials as they are now.
    pub(crate) fn cred(&self) -> Result<ARef<Credential>> {
        // SAFETY: The task is valid; the function returns a reference of its own.
        let cred = unsafe { kbindings::get_task_cred(self.as_ptr()) };
        let cred = NonNull::new(cred.cast_mut().cast()).ok_or(ESRCH)?;

        // SAFETY: The reference that `get_task_cred` took passes to the `ARef`.
        // CAST: `Credential` is a transparent wrapper of `struct cred`.
        Ok(unsafe { ARef::from_raw(cred) })
    }

    /// Keeps the thread's process from changing its program image, unless that is going on right
    /// now. It never waits: two processes in exec could wait for each other.
    pub(crate) fn try_lock_exec(&self) -> Option<ExecGuard<'_>> {
        // SAFETY: The task is valid, and with it the structure that the lock is in.
        let locked = unsafe { bindings::keyagent_helper_exec_trylock(self.as_ptr()) };

        // INVARIANT: The lock was taken just now. A guard that is made otherwise would unlock it.
        locked.then(|| ExecGuard(self, NotThreadSafe))
    }
}

/// The calling thread, without a reference of its own.
///
/// # Invariants
///
/// The thread is the one that runs the code which has this object.
pub(crate) struct CurrentThread(ManuallyDrop<Thread>, NotThreadSafe);

impl CurrentThread {
    /// The calling thread.
    pub(crate) fn new() -> Self {
        // SAFETY: A task holds a reference on itself as long as it runs. The `ARef` borrows that:
        // it is never dropped nor moved out.
        // CAST: `Task` is a transparent wrapper of `struct task_struct`.
        let task = unsafe { ARef::from_raw(NonNull::new_unchecked(Task::current_raw().cast())) };

        // INVARIANT: It is the caller, and the object cannot be sent to another thread.
        Self(ManuallyDrop::new(Thread(task)), NotThreadSafe)
    }
}

impl Deref for CurrentThread {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        &self.0
    }
}

/// The `exec_update_lock` of a thread's process, held for reading.
///
/// # Invariants
///
/// The lock is held by the current task.
#[must_use = "the lock unlocks immediately when the guard is unused"]
pub(crate) struct ExecGuard<'a>(&'a Thread, NotThreadSafe);

impl Drop for ExecGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: The lock is held by the type invariant, and the task is valid.
        unsafe { bindings::keyagent_helper_exec_unlock(self.0.as_ptr()) };
    }
}

/// Whether `pid` is the calling thread's.
pub(super) fn is_pid_of_current(pid: *const kbindings::pid) -> bool {
    // SAFETY: The pointer is only compared.
    unsafe { bindings::keyagent_helper_is_pid_of_current(pid) }
}

/// Whether the current task is a kernel thread, or a worker of one that borrows a process.
pub(crate) fn current_is_worker() -> bool {
    // SAFETY: `current` is always valid.
    unsafe { bindings::keyagent_helper_task_is_worker(Task::current_raw()) }
}

/// Whether the current task has been killed.
pub(crate) fn current_is_killed() -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::keyagent_helper_current_is_killed() }
}

/// Whether the current task is in the system call request_key(2).
pub(crate) fn current_calls_request_key() -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::keyagent_helper_current_calls_request_key() }
}

/// Whether the freezer waits for the current task: for a suspend, or in its cgroup of version 1.
pub(crate) fn current_is_freezing() -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::keyagent_helper_current_is_freezing() }
}

/// The same, or in its cgroup of version 2, which has no time limit.
pub(crate) fn current_is_being_frozen() -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::keyagent_helper_current_is_being_frozen() }
}

/// Has the current task look for signals before it returns to user space, where it stops if it is
/// being frozen, and where the system call is restarted.
pub(crate) fn restart_current() {
    // SAFETY: Always safe to call.
    unsafe { bindings::keyagent_helper_restart_current() };
}

/// The number of the current process in the initial pid namespace.
///
/// May be called from any context in which `current` is a task's.
pub(crate) fn current_tgid() -> i32 {
    // SAFETY: `current` is always valid.
    unsafe { bindings::keyagent_helper_task_tgid(Task::current_raw()) }
}
