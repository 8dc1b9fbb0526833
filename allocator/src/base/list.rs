//! Intrusive doubly linked lists of records that live in the metadata arena.
//!
//! A node is in at most one list at a time. The list owns nothing and frees nothing. The lock that
//! guards the list guards the links of its nodes too.

use core::ptr;

/// The links inside a node. A node outside of any list has both null.
pub struct Links<T> {
    prev: *mut T,
    next: *mut T,
}

impl<T> Links<T> {
    /// Links of a node that is in no list.
    pub const fn new() -> Self {
        Self { prev: ptr::null_mut(), next: ptr::null_mut() }
    }
}

/// A record that can be a node.
///
/// # Safety
/// `links` returns a pointer into the same record, the same for the record's whole life.
pub unsafe trait Node: Sized {
    /// The node's links.
    ///
    /// # Safety
    /// `node` points to a live record.
    unsafe fn links(node: *mut Self) -> *mut Links<Self>;
}

/// A list of `T`; last in, first out unless told otherwise.
pub struct List<T: Node> {
    head: *mut T,
}

impl<T: Node> List<T> {
    /// An empty list.
    pub const fn new() -> Self {
        Self { head: ptr::null_mut() }
    }

    /// Whether no node is in the list.
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// The first node, or null.
    pub fn first(&self) -> *mut T {
        self.head
    }

    /// The node after `node`, or null.
    ///
    /// # Safety
    /// `node` is in this list.
    pub unsafe fn next(&self, node: *mut T) -> *mut T {
        // SAFETY: the caller says that `node` is live.
        unsafe { (*T::links(node)).next }
    }

    /// Puts `node` in front.
    ///
    /// # Safety
    /// `node` is live, in no list, and stays live while it is in this one.
    pub unsafe fn push_front(&mut self, node: *mut T) {
        // SAFETY: `node` is live (caller); `self.head` is null or live, as it is in the list.
        unsafe {
            let links = T::links(node);
            (*links).prev = ptr::null_mut();
            (*links).next = self.head;
            if !self.head.is_null() {
                (*T::links(self.head)).prev = node;
            }
        }
        self.head = node;
    }

    /// Takes `node` out.
    ///
    /// # Safety
    /// `node` is in this list.
    pub unsafe fn remove(&mut self, node: *mut T) {
        // SAFETY: `node` and its neighbours are in this list, hence live.
        unsafe {
            let links = T::links(node);
            let (prev, next) = ((*links).prev, (*links).next);
            if prev.is_null() {
                debug_assert!(ptr::eq(self.head, node), "node of another list");
                self.head = next;
            } else {
                (*T::links(prev)).next = next;
            }
            if !next.is_null() {
                (*T::links(next)).prev = prev;
            }
            *links = Links::new();
        }
    }

    /// Takes out the first node, or returns null.
    pub fn pop_front(&mut self) -> *mut T {
        let node = self.head;
        if !node.is_null() {
            // SAFETY: the head is in the list.
            unsafe { self.remove(node) };
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    struct Item {
        links: Links<Item>,
        value: u32,
    }

    // SAFETY: returns the address of the field.
    unsafe impl Node for Item {
        unsafe fn links(node: *mut Self) -> *mut Links<Self> {
            // SAFETY: the caller says that `node` is live.
            unsafe { &raw mut (*node).links }
        }
    }

    fn values(list: &List<Item>) -> Vec<u32> {
        let mut out = Vec::new();
        let mut node = list.first();
        while !node.is_null() {
            // SAFETY: nodes of the list are alive in the test's vector.
            unsafe {
                out.push((*node).value);
                node = list.next(node);
            }
        }
        out
    }

    #[test]
    fn nodes_leave_from_every_position_and_the_rest_stays_linked() {
        let mut items: Vec<Item> =
            (0..5).map(|value| Item { links: Links::new(), value }).collect();
        let base = items.as_mut_ptr();
        let mut list = List::new();
        // SAFETY: `items` outlives `list` and is not moved.
        unsafe {
            for i in 0..5 {
                list.push_front(base.add(i));
            }
            assert_eq!(values(&list), [4, 3, 2, 1, 0]);
            list.remove(base.add(4));
            list.remove(base.add(2));
            list.remove(base.add(0));
            assert_eq!(values(&list), [3, 1]);
            assert_eq!((*list.pop_front()).value, 3);
            assert_eq!((*list.pop_front()).value, 1);
        }
        assert!(list.is_empty() && list.pop_front().is_null());
    }
}
