use std::sync::atomic::AtomicBool;

use super::*;

const MIB: usize = 1 << 20;

#[test]
fn a_plugin_that_hoards_leaves_as_much_as_it_takes() {
    let budget = MemoryBudget::new(100 * MIB);
    let (hoarder, other) = (MemoryShare::new(&budget), MemoryShare::new(&budget));
    let taken = (0..1000).filter(|_| hoarder.take(MIB, 100 * MIB)).count();
    assert_eq!(taken, 50);
    assert!(other.take(20 * MIB, 20 * MIB));
    assert_eq!(budget.used_bytes(), 70 * MIB);
}

#[test]
fn hoarders_together_leave_a_part_to_everyone_else() {
    let budget = MemoryBudget::new(100 * MIB);
    let hoarders: Vec<_> = (0..4).map(|_| MemoryShare::new(&budget)).collect();
    for _ in 0..1000 {
        for hoarder in &hoarders {
            hoarder.take(MIB, 100 * MIB);
        }
    }
    let other = MemoryShare::new(&budget);
    assert!(budget.used_bytes() < 90 * MIB, "{}", budget.used_bytes());
    assert!((0..10).all(|_| other.take(320 << 10, 320 << 10)));
}

#[test]
fn small_instances_may_fill_most_and_never_all() {
    let budget = MemoryBudget::new(80 * MIB);
    let many = MemoryShare::new(&budget);
    let taken = (0..1000).filter(|_| many.take(MIB, MIB)).count();
    assert_eq!(taken, 70);
}

#[test]
fn the_bound_is_never_passed_and_what_is_given_back_is_free_again() {
    let budget = MemoryBudget::new(10 * MIB);
    let shares: Vec<_> = (0..64).map(|_| MemoryShare::new(&budget)).collect();
    let granted: Vec<_> = shares.iter().filter(|share| share.take(MIB, MIB)).collect();
    assert!(granted.len() <= 10 && budget.used_bytes() == granted.len() * MIB);
    granted.iter().for_each(|share| share.give_back(MIB));
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn racing_instances_never_pass_the_bound() {
    // Each of the four may take half of what is left, and one more than fits together is easily reached.
    let budget = MemoryBudget::new(3 * MIB);
    let (held, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let share = MemoryShare::new(&budget);
                for _ in 0..20_000 {
                    if share.take(MIB, MIB) {
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(1, Ordering::SeqCst);
                        share.give_back(MIB);
                    }
                }
            });
        }
    });
    let most = most.load(Ordering::SeqCst);
    assert!((1..=2).contains(&most), "{most} MiB of 3, of which small instances leave an eighth");
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn memory_that_was_refused_is_never_missing_to_others() {
    let budget = MemoryBudget::new(100 * MIB);
    let (greedy, modest) = (MemoryShare::new(&budget), MemoryShare::new(&budget));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(!greedy.take(200 * MIB, 200 * MIB));
            }
        });
        let granted = (0..200_000).filter(|_| {
            let granted = modest.take(MIB, MIB);
            if granted {
                modest.give_back(MIB);
            }
            granted
        });
        let granted = granted.count();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(granted, 200_000);
    });
}

#[test]
fn the_machines_memory_is_read() {
    assert_eq!(machine_bytes("MemTotal:       24684092 kB\nMemFree: 1 kB\n"), Some(24_684_092 * 1024));
    assert_eq!(machine_bytes("nothing"), None);
    assert!(default_bytes_max() > 16 * MIB);
}

#[test]
fn limits_of_control_groups_are_looked_for_at_every_level() {
    let found = limit_files("9:name=systemd:/\n4:memory:/a/b\n0::/c\n");
    let found: Vec<_> = found.iter().map(|file| file.to_str().unwrap()).collect();
    let wanted = [
        "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/c/memory.max",
        "/sys/fs/cgroup/memory.max",
    ];
    assert_eq!(found, wanted);
}
