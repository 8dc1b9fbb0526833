// The bodies for aarch64. Arguments and results are those of C, and only registers that a callee may
// change are used. What has at most 128 bytes is done by moves of up to 16 bytes that may overlap:
// loads first, so that source and target may overlap, too. More goes through a loop of 64 bytes with
// an aligned target; what stands at the ends is loaded before and stored after it. Whole lines of 64
// bytes become zero by the instruction for that, where the processor has it for this length.

    .pushsection .text.hot.stratalloc_small, "ax", %progbits

// void *memset(void *target, int byte, size_t count)
    .globl stratalloc_memset
    .hidden stratalloc_memset
    .type stratalloc_memset, %function
    .p2align 6
stratalloc_memset:
    .cfi_startproc
    dup v0.16b, w1
    add x4, x0, x2
    cmp x2, #128
    b.hi 5f
    cmp x2, #32
    b.hi 3f
    tbz x2, #3, 1f
    cmp x2, #16
    b.hs 2f
    str d0, [x0]
    str d0, [x4, #-8]
    ret
1:  cmp x2, #16
    b.hs 2f
    tbz x2, #2, 4f
    str s0, [x0]
    str s0, [x4, #-4]
    ret
2:  str q0, [x0]
    str q0, [x4, #-16]
    ret
3:  stp q0, q0, [x0]
    stp q0, q0, [x4, #-32]
    cmp x2, #64
    b.ls 6f
    stp q0, q0, [x0, #32]
    stp q0, q0, [x4, #-64]
    ret
4:  cbz x2, 6f
    strb w1, [x0]
    tbz x2, #1, 6f
    str h0, [x4, #-2]
6:  ret
// More than 128. The loop stops with 1 to 64 bytes left.
5:  sub x6, x4, #64
    tst w1, #0xff
    b.ne 7f
    cmp x2, #512
    b.lo 7f
    mrs x5, dczid_el0
    and w5, w5, #31
    cmp w5, #4
    b.ne 7f
    stp q0, q0, [x0]
    stp q0, q0, [x0, #32]
    bic x3, x0, #63
    add x3, x3, #64
8:  dc zva, x3
    add x3, x3, #64
    cmp x3, x6
    b.lo 8b
    b 9f
7:  str q0, [x0]
    bic x3, x0, #15
    add x3, x3, #16
0:  stp q0, q0, [x3]
    stp q0, q0, [x3, #32]
    add x3, x3, #64
    cmp x3, x6
    b.lo 0b
9:  stp q0, q0, [x6]
    stp q0, q0, [x6, #32]
    ret
    .cfi_endproc
    .size stratalloc_memset, . - stratalloc_memset

// void *memmove(void *target, const void *source, size_t count), and memcpy, which asks for less
    .globl stratalloc_memmove
    .hidden stratalloc_memmove
    .type stratalloc_memmove, %function
    .p2align 6
stratalloc_memmove:
    .cfi_startproc
    add x3, x0, x2
    add x4, x1, x2
    cmp x2, #128
    b.hi 5f
    cmp x2, #32
    b.hi 3f
    cmp x2, #16
    b.hs 2f
    tbz x2, #3, 1f
    ldr x5, [x1]
    ldr x6, [x4, #-8]
    str x5, [x0]
    str x6, [x3, #-8]
    ret
1:  tbz x2, #2, 4f
    ldr w5, [x1]
    ldr w6, [x4, #-4]
    str w5, [x0]
    str w6, [x3, #-4]
    ret
2:  ldr q0, [x1]
    ldr q1, [x4, #-16]
    str q0, [x0]
    str q1, [x3, #-16]
    ret
3:  cmp x2, #64
    b.hi 6f
    ldp q0, q1, [x1]
    ldp q2, q3, [x4, #-32]
    stp q0, q1, [x0]
    stp q2, q3, [x3, #-32]
    ret
// The first byte, the last one, and the one in the middle.
4:  cbz x2, 7f
    lsr x5, x2, #1
    ldrb w6, [x1]
    ldrb w7, [x1, x5]
    ldrb w8, [x4, #-1]
    strb w6, [x0]
    strb w7, [x0, x5]
    strb w8, [x3, #-1]
7:  ret
6:  ldp q0, q1, [x1]
    ldp q2, q3, [x1, #32]
    ldp q4, q5, [x4, #-64]
    ldp q6, q7, [x4, #-32]
    stp q0, q1, [x0]
    stp q2, q3, [x0, #32]
    stp q4, q5, [x3, #-64]
    stp q6, q7, [x3, #-32]
    ret
// More than 128: from the end, if the target begins within the source.
5:  sub x5, x0, x1
    cmp x5, x2
    b.lo 9f
    ldr q16, [x1]
    ldp q20, q21, [x4, #-64]
    ldp q22, q23, [x4, #-32]
    and x6, x0, #15
    bic x7, x0, #15
    add x7, x7, #16
    sub x1, x1, x6
    add x1, x1, #16
    sub x8, x3, #64
8:  ldp q0, q1, [x1]
    ldp q2, q3, [x1, #32]
    stp q0, q1, [x7]
    stp q2, q3, [x7, #32]
    add x1, x1, #64
    add x7, x7, #64
    cmp x7, x8
    b.lo 8b
    str q16, [x0]
    stp q20, q21, [x3, #-64]
    stp q22, q23, [x3, #-32]
    ret
9:  cbz x5, 7b
    ldr q16, [x4, #-16]
    ldp q20, q21, [x1]
    ldp q22, q23, [x1, #32]
    and x6, x3, #15
    bic x7, x3, #15
    sub x4, x4, x6
    add x8, x0, #64
0:  ldp q0, q1, [x4, #-32]
    ldp q2, q3, [x4, #-64]
    stp q0, q1, [x7, #-32]
    stp q2, q3, [x7, #-64]
    sub x4, x4, #64
    sub x7, x7, #64
    cmp x7, x8
    b.hi 0b
    str q16, [x3, #-16]
    stp q20, q21, [x0]
    stp q22, q23, [x0, #32]
    ret
    .cfi_endproc
    .size stratalloc_memmove, . - stratalloc_memmove

// int memcmp(const void *left, const void *right, size_t count), and bcmp, which asks for less
    .globl stratalloc_memcmp
    .hidden stratalloc_memcmp
    .type stratalloc_memcmp, %function
    .p2align 6
stratalloc_memcmp:
    .cfi_startproc
    cmp x2, #8
    b.lo 4f
    sub x2, x2, #8
// Words of 8 bytes up to the last one, which may overlap the one before.
1:  cbz x2, 2f
    ldr x3, [x0], #8
    ldr x4, [x1], #8
    cmp x3, x4
    b.ne 3f
    subs x2, x2, #8
    b.hi 1b
    add x0, x0, x2
    add x1, x1, x2
2:  ldr x3, [x0]
    ldr x4, [x1]
    cmp x3, x4
    b.ne 3f
    mov w0, #0
    ret
// The first byte in memory counts most.
3:  rev x3, x3
    rev x4, x4
    cmp x3, x4
    cset w0, hi
    csinv w0, w0, wzr, hs
    ret
4:  cbz x2, 6f
5:  ldrb w3, [x0], #1
    ldrb w4, [x1], #1
    subs w3, w3, w4
    b.ne 7f
    subs x2, x2, #1
    b.ne 5b
6:  mov w0, #0
    ret
7:  mov w0, w3
    ret
    .cfi_endproc
    .size stratalloc_memcmp, . - stratalloc_memcmp

// size_t strlen(const char *text)
    .globl stratalloc_strlen
    .hidden stratalloc_strlen
    .type stratalloc_strlen, %function
    .p2align 6
stratalloc_strlen:
    .cfi_startproc
// Aligned loads of 16 bytes, which never reach a page that the text is not on. Four bits of a mask
// stand for each byte; those before the text are shifted out.
    bic x1, x0, #15
    ldr q0, [x1]
    cmeq v0.16b, v0.16b, #0
    shrn v0.8b, v0.8h, #4
    fmov x2, d0
    lsl x3, x0, #2
    lsr x2, x2, x3
    cbnz x2, 2f
1:  ldr q0, [x1, #16]!
    cmeq v0.16b, v0.16b, #0
    shrn v0.8b, v0.8h, #4
    fmov x2, d0
    cbz x2, 1b
    rbit x2, x2
    clz x2, x2
    sub x0, x1, x0
    add x0, x0, x2, lsr #2
    ret
2:  rbit x2, x2
    clz x2, x2
    lsr x0, x2, #2
    ret
    .cfi_endproc
    .size stratalloc_strlen, . - stratalloc_strlen

    .popsection
