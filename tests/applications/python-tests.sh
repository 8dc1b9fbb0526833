#!/bin/sh
set -eu
# A part of CPython's own test suite: the files whose subject is memory, threads, processes or big data.
export PYTHONHASHSEED=0
python3 -m test --timeout 120 test_list test_dict test_set test_tuple test_unicode test_bytes test_gc test_weakref \
    test_thread test_json test_re test_zlib test_bz2 test_array test_memoryview test_buffer test_mmap test_ctypes \
    test_struct test_copy test_deque test_heapq test_sort test_itertools test_fractions test_int test_float \
    test_hashlib test_fork1 test_wait4 test_select test_tempfile test_csv test_xml_etree test_minidom test_ast \
    test_exceptions test_contextlib test_functools \
    >log 2>&1 || { grep -vE '^[0-9:]+ load|^==' log | tail -60 >&2; exit 1; }
grep -E '^(All|[0-9]+ tests? (OK|failed|skipped))|Result:' log
