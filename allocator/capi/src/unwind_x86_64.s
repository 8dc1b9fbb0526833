    .pushsection .text.stratalloc_unwind, "ax", %progbits

// stratalloc_new_failed(size = rdi, alignment = rsi) -> rax
    .globl stratalloc_new_failed
    .hidden stratalloc_new_failed
    .type stratalloc_new_failed, %function
    .p2align 4
stratalloc_new_failed:
    .cfi_startproc
    push rbx
    .cfi_adjust_cfa_offset 8
    .cfi_offset rbx, -16
    push r14
    .cfi_adjust_cfa_offset 8
    .cfi_offset r14, -24
    sub rsp, 8
    .cfi_adjust_cfa_offset 8
    mov rbx, rdi
    mov r14, rsi
.Lstratalloc_again:
    call {new_handler}
    test rax, rax
    jnz .Lstratalloc_handler
    call stratalloc_throw_bad_alloc
    ud2
.Lstratalloc_handler:
    call rax
    mov rdi, rbx
    mov rsi, r14
    call {retry}
    test rax, rax
    jz .Lstratalloc_again
    add rsp, 8
    .cfi_adjust_cfa_offset -8
    pop r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    pop rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
    .cfi_endproc
    .size stratalloc_new_failed, . - stratalloc_new_failed

// stratalloc_throw_bad_alloc()
    .globl stratalloc_throw_bad_alloc
    .hidden stratalloc_throw_bad_alloc
    .type stratalloc_throw_bad_alloc, %function
    .p2align 4
stratalloc_throw_bad_alloc:
    .cfi_startproc
    sub rsp, 8
    .cfi_adjust_cfa_offset 8
    call {thrower}
    call rax
    ud2
    .cfi_endproc
    .size stratalloc_throw_bad_alloc, . - stratalloc_throw_bad_alloc

// stratalloc_call_catching(function = rdi, begin = rsi, end = rdx, first = rcx, second = r8)
// -> thrown = rax, result = rdx
    .globl stratalloc_call_catching
    .hidden stratalloc_call_catching
    .type stratalloc_call_catching, %function
    .p2align 4
stratalloc_call_catching:
    .cfi_startproc
    .cfi_personality 0x9b, {personality}
    .cfi_lsda 0x1b, .Lstratalloc_lsda
    push rbx
    .cfi_adjust_cfa_offset 8
    .cfi_offset rbx, -16
    push r14
    .cfi_adjust_cfa_offset 8
    .cfi_offset r14, -24
    sub rsp, 8
    .cfi_adjust_cfa_offset 8
    mov rbx, rsi
    mov r14, rdx
    mov rax, rdi
    mov rdi, rcx
    mov rsi, r8
.Lstratalloc_try:
    call rax
.Lstratalloc_tried:
    mov rdx, rax
    xor eax, eax
.Lstratalloc_done:
    add rsp, 8
    .cfi_remember_state
    .cfi_adjust_cfa_offset -8
    pop r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    pop rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
// The unwinder lands here with the exception in rax and the callee-saved registers restored.
.Lstratalloc_caught:
    .cfi_restore_state
    mov rdi, rax
    call rbx
    call r14
    mov eax, 1
    xor edx, edx
    jmp .Lstratalloc_done
    .cfi_endproc
    .size stratalloc_call_catching, . - stratalloc_call_catching

    .popsection
