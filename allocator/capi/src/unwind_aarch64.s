    .pushsection .text.stratalloc_unwind, "ax", %progbits

// stratalloc_new_failed(size = x0, alignment = x1) -> x0
    .globl stratalloc_new_failed
    .hidden stratalloc_new_failed
    .type stratalloc_new_failed, %function
    .p2align 2
stratalloc_new_failed:
    .cfi_startproc
    stp x29, x30, [sp, #-32]!
    .cfi_def_cfa_offset 32
    .cfi_offset x29, -32
    .cfi_offset x30, -24
    mov x29, sp
    stp x19, x20, [sp, #16]
    .cfi_offset x19, -16
    .cfi_offset x20, -8
    mov x19, x0
    mov x20, x1
.Lstratalloc_again:
    bl {new_handler}
    cbnz x0, .Lstratalloc_handler
    bl stratalloc_throw_bad_alloc
    brk #1
.Lstratalloc_handler:
    blr x0
    mov x0, x19
    mov x1, x20
    bl {retry}
    cbz x0, .Lstratalloc_again
    ldp x19, x20, [sp, #16]
    .cfi_restore x19
    .cfi_restore x20
    ldp x29, x30, [sp], #32
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
    .size stratalloc_new_failed, . - stratalloc_new_failed

// stratalloc_throw_bad_alloc()
    .globl stratalloc_throw_bad_alloc
    .hidden stratalloc_throw_bad_alloc
    .type stratalloc_throw_bad_alloc, %function
    .p2align 2
stratalloc_throw_bad_alloc:
    .cfi_startproc
    stp x29, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x29, -16
    .cfi_offset x30, -8
    mov x29, sp
    bl {thrower}
    blr x0
    brk #1
    .cfi_endproc
    .size stratalloc_throw_bad_alloc, . - stratalloc_throw_bad_alloc

// stratalloc_call_catching(function = x0, begin = x1, end = x2, first = x3, second = x4)
// -> thrown = x0, result = x1
    .globl stratalloc_call_catching
    .hidden stratalloc_call_catching
    .type stratalloc_call_catching, %function
    .p2align 2
stratalloc_call_catching:
    .cfi_startproc
    .cfi_personality 0x9b, {personality}
    .cfi_lsda 0x1b, .Lstratalloc_lsda
    stp x29, x30, [sp, #-32]!
    .cfi_def_cfa_offset 32
    .cfi_offset x29, -32
    .cfi_offset x30, -24
    mov x29, sp
    stp x19, x20, [sp, #16]
    .cfi_offset x19, -16
    .cfi_offset x20, -8
    mov x19, x1
    mov x20, x2
    mov x9, x0
    mov x0, x3
    mov x1, x4
.Lstratalloc_try:
    blr x9
.Lstratalloc_tried:
    mov x1, x0
    mov x0, #0
.Lstratalloc_done:
    .cfi_remember_state
    ldp x19, x20, [sp, #16]
    .cfi_restore x19
    .cfi_restore x20
    ldp x29, x30, [sp], #32
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    ret
// The unwinder lands here with the exception in x0 and the callee-saved registers restored.
.Lstratalloc_caught:
    .cfi_restore_state
    blr x19
    blr x20
    mov x0, #1
    mov x1, #0
    b .Lstratalloc_done
    .cfi_endproc
    .size stratalloc_call_catching, . - stratalloc_call_catching

    .popsection
