//! The life of a thread of our own: one at a time, asleep until it is woken, and tried for rarely
//! after a failure.

use super::*;
use std::time::{Duration, Instant};

/// Waits until `holds`. What is waited for takes milliseconds; a busy machine may take seconds.
fn wait_until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not come to that");
        sleep_ms(1);
    }
}

/// Defines a thread, and counts how often it was made and how often it was woken. It ends when it
/// is woken after `END` was set.
macro_rules! sleeper {
    () => {
        static THREAD: OwnThread = OwnThread::new();
        static MADE: AtomicU32 = AtomicU32::new(0);
        static WOKEN: AtomicU32 = AtomicU32::new(0);
        static END: AtomicU32 = AtomicU32::new(0);

        extern "C" fn body(_: *mut c_void) -> *mut c_void {
            THREAD.number.store(thread_number(), Ordering::Relaxed);
            let mut seen = THREAD.wakes();
            MADE.fetch_add(1, Ordering::Relaxed);
            while END.load(Ordering::Relaxed) == 0 {
                THREAD.sleep(None, seen);
                seen = THREAD.wakes();
                WOKEN.fetch_add(1, Ordering::Relaxed);
            }
            THREAD.end();
            ptr::null_mut()
        }
    };
}

fn count(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::Relaxed)
}

#[test]
fn one_exists_at_a_time_and_another_after_it() {
    sleeper!();
    assert!(!THREAD.exists());
    let starters: std::vec::Vec<_> =
        (0..4).map(|_| std::thread::spawn(|| THREAD.start(body))).collect();
    for starter in starters {
        assert!(starter.join().expect("it returns"));
    }
    wait_until(|| count(&MADE) == 1);
    assert!(THREAD.exists() && THREAD.start(body));
    END.store(1, Ordering::Relaxed);
    THREAD.see_off(30_000);
    assert!(!THREAD.exists() && !thread_exists(THREAD.number.load(Ordering::Relaxed)));
    assert_eq!(count(&MADE), 1, "made once, however many asked");
    END.store(0, Ordering::Relaxed);
    assert!(THREAD.start(body));
    wait_until(|| count(&MADE) == 2);
    END.store(1, Ordering::Relaxed);
    THREAD.see_off(30_000);
    assert!(!THREAD.exists());
}

#[test]
fn it_sleeps_until_it_is_woken() {
    sleeper!();
    assert!(THREAD.start(body));
    wait_until(|| count(&MADE) == 1);
    sleep_ms(50);
    // Other tests may end the last thread that has a cache, which wakes every thread of ours.
    assert!(count(&WOKEN) <= THREAD.wakes(), "nobody woke it");
    for _ in 0..3 {
        let before = count(&WOKEN);
        THREAD.wake();
        wait_until(|| count(&WOKEN) > before);
    }
    // Whoever looked before somebody woke the thread does not sleep, with and without a limit.
    let seen = THREAD.wakes();
    END.store(1, Ordering::Relaxed);
    THREAD.wake();
    THREAD.sleep(None, seen);
    THREAD.sleep(Some(30_000), seen);
    wait_until(|| !THREAD.exists());
    let begun = Instant::now();
    THREAD.sleep(Some(20), THREAD.wakes());
    let slept = begun.elapsed();
    assert!(slept >= Duration::from_millis(20), "{slept:?}");
}

/// Refuses new threads to the calling thread, for good.
fn refuse_threads() {
    let statement = |code, k| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let load = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0);
    let is = |number: libc::c_long, jt, jf| libc::sock_filter {
        jt,
        jf,
        ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number as u32)
    };
    let answer = |with| statement(libc::BPF_RET | libc::BPF_K, with);
    let mut steps = [
        load,
        is(libc::SYS_clone3, 1, 0),
        is(libc::SYS_clone, 0, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EAGAIN as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: numbers, and a filter that the kernel reads and checks.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter), 0);
    }
}

#[test]
fn tries_after_a_failure_come_at_growing_distances() {
    sleeper!();
    let wait = || THREAD.retry_ms.load(Ordering::Relaxed) as u64;
    let at = || THREAD.retry_at.load(Ordering::Relaxed) as u64;
    let refused = std::thread::spawn(move || {
        refuse_threads();
        let mut expected = *RETRY_MS.start();
        for _ in 0..8 {
            let before = Linux.now_ms();
            assert!(!THREAD.start_if(|| true, body) && !THREAD.exists());
            assert_eq!(wait(), expected);
            assert!((before..=Linux.now_ms()).contains(&(at() - expected)));
            // Until then nobody tries: the next wait would be longer.
            assert!(!THREAD.start_if(|| true, body));
            assert_eq!(wait(), expected);
            expected = (2 * expected).min(*RETRY_MS.end());
            THREAD.retry_at.store(0, Ordering::Relaxed);
        }
    });
    refused.join().expect("it returns");
    assert_eq!(wait(), *RETRY_MS.end());
    // One that succeeds makes the next failure the first again.
    assert!(THREAD.start(body));
    assert_eq!(wait(), 0);
    wait_until(|| count(&MADE) == 1);
    END.store(1, Ordering::Relaxed);
    THREAD.see_off(30_000);
    assert!(!THREAD.exists());
}

/// None is started from a thread that the program put under a filter, nor tried for: the filter
/// may end the process. Other threads start it as ever.
#[test]
fn none_is_started_under_a_filter_that_came_later() {
    sleeper!();
    let filtered = std::thread::spawn(|| {
        assert!(!filter::came_later() && !filter::is_known_to_have_come());
        refuse_threads();
        assert!(!filter::is_known_to_have_come(), "nobody has asked yet");
        for _ in 0..3 {
            assert!(!THREAD.start(body) && !THREAD.exists());
            assert!(filter::is_known_to_have_come());
        }
        assert_eq!(THREAD.retry_at.load(Ordering::Relaxed), 0, "no try, so no wait");
    });
    filtered.join().expect("it returns");
    assert!(!filter::came_later() && THREAD.start(body));
    wait_until(|| count(&MADE) == 1);
    END.store(1, Ordering::Relaxed);
    THREAD.see_off(30_000);
    assert!(!THREAD.exists());
}

/// A forked child has no such thread, and may make one at once.
#[test]
fn a_forked_child_begins_anew() {
    static THREAD: OwnThread = OwnThread::new();
    THREAD.state.store(EXISTS, Ordering::Relaxed);
    THREAD.number.store(1, Ordering::Relaxed);
    THREAD.retry_at.store(usize::MAX, Ordering::Relaxed);
    THREAD.retry_ms.store(32_000, Ordering::Relaxed);
    THREAD.set_wake_fd(3);
    THREAD.reset_in_child();
    assert!(!THREAD.exists());
    for field in [&THREAD.retry_at, &THREAD.retry_ms] {
        assert_eq!(field.load(Ordering::Relaxed), 0);
    }
    assert_eq!(THREAD.number.load(Ordering::Relaxed), 0);
    assert_eq!(THREAD.wake_fd.load(Ordering::Relaxed), usize::MAX);
}

/// What the kernel says is the number of threads: a field of `/proc/self/stat`.
fn stated_count() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/stat").expect("the kernel's file");
    let (_, fields) = text.rsplit_once(')').expect("a name in front");
    fields.split_ascii_whitespace().nth(17).and_then(|field| field.parse().ok())
}

/// Opening no file says the same. Threads of other tests come and go, so that the two must agree at
/// some moment, with few threads and with more.
#[test]
fn the_links_of_a_folder_count_the_threads() {
    wait_until(|| thread_count() == stated_count());
    let more = 20;
    let sleepers: std::vec::Vec<_> = (0..more)
        .map(|_| std::thread::spawn(|| std::thread::sleep(Duration::from_millis(300))))
        .collect();
    assert!(thread_count().is_some_and(|count| count > more) && !is_one_left());
    wait_until(|| thread_count() == stated_count());
    sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it returns"));
}

/// The thread keeps no capability that the main thread does not have, and loses none that it has.
#[test]
fn capabilities_are_those_of_the_main_thread() {
    let both = std::thread::spawn(|| {
        let before = capabilities(0);
        keep_no_more_rights_than_the_process();
        (before, capabilities(0))
    });
    let (before, after) = both.join().expect("it returns");
    assert!(before.is_some() && before == after, "{before:x?} {after:x?}");
    assert_eq!(after, capabilities(process_number()));
}
