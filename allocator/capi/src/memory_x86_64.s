# The bodies for x86-64. Arguments and results are those of C, and only registers that a callee may
# change are used. What has at most 128 bytes is done by moves of 16 bytes that may overlap: loads
# first, so that source and target may overlap, too. More goes through a loop with an aligned target,
# of 16 bytes a move, or 32 from stratalloc_vector_least bytes on; from stratalloc_string_least
# bytes on the processor's own string instructions are faster. Both bounds are out of reach until it
# is known that the processor has the instructions.

    # The first of the library's data that is written to begins a page (src/layout.rs).
    .pushsection .data.stratalloc_memory, "aw", @progbits
    .p2align 12
    .globl stratalloc_vector_least
    .hidden stratalloc_vector_least
    .type stratalloc_vector_least, @object
    .globl stratalloc_string_least
    .hidden stratalloc_string_least
    .type stratalloc_string_least, @object
    .p2align 4
stratalloc_vector_least:
    .quad -1
stratalloc_string_least:
    .quad -1
    .size stratalloc_vector_least, 8
    .size stratalloc_string_least, 8
    .popsection

    .pushsection .text.hot.stratalloc_small, "ax", @progbits

# void *memset(void *target, int byte, size_t count)
    .globl stratalloc_memset
    .hidden stratalloc_memset
    .type stratalloc_memset, @function
    .p2align 6
stratalloc_memset:
    .cfi_startproc
    mov rax, rdi
    # Nearly always zero: then what follows waits for no arithmetic.
    pxor xmm0, xmm0
    movzx esi, sil
    test esi, esi
    jnz 9f
1:  cmp rdx, 64
    ja 3f
    cmp rdx, 16
    jb 8f
    cmp rdx, 32
    ja 2f
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm0
    ret
2:  movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + rdx - 32], xmm0
    movups [rdi + rdx - 16], xmm0
    ret
3:  cmp rdx, 128
    ja 4f
    movups [rdi], xmm0
    movups [rdi + 16], xmm0
    movups [rdi + 32], xmm0
    movups [rdi + 48], xmm0
    movups [rdi + rdx - 64], xmm0
    movups [rdi + rdx - 48], xmm0
    movups [rdi + rdx - 32], xmm0
    movups [rdi + rdx - 16], xmm0
    ret
4:  cmp rdx, [rip + stratalloc_vector_least]
    jb 6f
    vpxor xmm1, xmm1, xmm1
    test esi, esi
    jnz 92f
41: cmp rdx, 256
    ja 44f
    vmovups [rdi], ymm1
    vmovups [rdi + 32], ymm1
    vmovups [rdi + 64], ymm1
    vmovups [rdi + 96], ymm1
    cmp rdx, 192
    ja 43f
    vmovups [rdi + rdx - 64], ymm1
    vmovups [rdi + rdx - 32], ymm1
    vzeroupper
    ret
43: vmovups [rdi + rdx - 128], ymm1
    vmovups [rdi + rdx - 96], ymm1
    vmovups [rdi + rdx - 64], ymm1
    vmovups [rdi + rdx - 32], ymm1
    vzeroupper
    ret
44: cmp rdx, [rip + stratalloc_string_least]
    jae 46f
    # The first bytes, then whole aligned 128, then the last 128.
    lea rcx, [rdi + rdx - 128]
    vmovups [rdi], ymm1
    add rdi, 32
    and rdi, -32
45: vmovaps [rdi], ymm1
    vmovaps [rdi + 32], ymm1
    vmovaps [rdi + 64], ymm1
    vmovaps [rdi + 96], ymm1
    sub rdi, -128
    cmp rdi, rcx
    jb 45b
    vmovups [rcx], ymm1
    vmovups [rcx + 32], ymm1
    vmovups [rcx + 64], ymm1
    vmovups [rcx + 96], ymm1
    vzeroupper
    ret
46: vzeroupper
    jmp 7f
    # The same, half as wide.
6:  cmp rdx, [rip + stratalloc_string_least]
    jae 7f
    lea rcx, [rdi + rdx - 64]
    movups [rdi], xmm0
    add rdi, 16
    and rdi, -16
61: movaps [rdi], xmm0
    movaps [rdi + 16], xmm0
    movaps [rdi + 32], xmm0
    movaps [rdi + 48], xmm0
    add rdi, 64
    cmp rdi, rcx
    jb 61b
    movups [rcx], xmm0
    movups [rcx + 16], xmm0
    movups [rcx + 32], xmm0
    movups [rcx + 48], xmm0
    ret
7:  mov r8, rax
    mov rcx, rdx
    mov eax, esi
    rep stosb
    mov rax, r8
    ret
8:  cmp edx, 8
    jb 81f
    mov [rdi], rsi
    mov [rdi + rdx - 8], rsi
    ret
81: cmp edx, 4
    jb 82f
    mov [rdi], esi
    mov [rdi + rdx - 4], esi
    ret
82: test edx, edx
    jz 83f
    mov [rdi], sil
    mov [rdi + rdx - 1], sil
    cmp edx, 2
    jbe 83f
    mov [rdi + 1], sil
83: ret
9:  movabs rcx, 0x0101010101010101
    imul rsi, rcx
    movq xmm0, rsi
    punpcklqdq xmm0, xmm0
    jmp 1b
92: vinsertf128 ymm1, ymm0, xmm0, 1
    jmp 41b
    .cfi_endproc
    .size stratalloc_memset, . - stratalloc_memset

# void *memmove(void *target, const void *source, size_t count), and memcpy, which asks for less
    .globl stratalloc_memmove
    .hidden stratalloc_memmove
    .type stratalloc_memmove, @function
    .p2align 6
stratalloc_memmove:
    .cfi_startproc
    mov rax, rdi
    cmp rdx, 64
    ja 3f
    cmp rdx, 16
    jb 8f
    cmp rdx, 32
    ja 2f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
2:  movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + rdx - 32]
    movups xmm3, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + rdx - 32], xmm2
    movups [rdi + rdx - 16], xmm3
    ret
3:  cmp rdx, [rip + stratalloc_vector_least]
    jae 9f
    cmp rdx, 128
    ja 4f
    movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups xmm4, [rsi + rdx - 64]
    movups xmm5, [rsi + rdx - 48]
    movups xmm6, [rsi + rdx - 32]
    movups xmm7, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    movups [rdi + rdx - 64], xmm4
    movups [rdi + rdx - 48], xmm5
    movups [rdi + rdx - 32], xmm6
    movups [rdi + rdx - 16], xmm7
    ret
    # A target that begins within the source is written from its end.
4:  mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jb 7f
    # String instructions are slow where the target ends within the source.
    neg rcx
    cmp rcx, rdx
    jb 41f
    cmp rdx, [rip + stratalloc_string_least]
    jae 6f
41: # The last 64 bytes and the first 16 are read before anything is written.
    movups xmm4, [rsi + rdx - 64]
    movups xmm5, [rsi + rdx - 48]
    movups xmm6, [rsi + rdx - 32]
    movups xmm7, [rsi + rdx - 16]
    movups xmm8, [rsi]
    lea r9, [rdi + rdx - 64]
    mov rcx, rdi
    and rcx, 15
    sub rcx, 16
    sub rsi, rcx
    sub rdi, rcx
5:  movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movaps [rdi], xmm0
    movaps [rdi + 16], xmm1
    movaps [rdi + 32], xmm2
    movaps [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    cmp rdi, r9
    jb 5b
    movups [r9], xmm4
    movups [r9 + 16], xmm5
    movups [r9 + 32], xmm6
    movups [r9 + 48], xmm7
    movups [rax], xmm8
    ret
6:  mov rcx, rdx
    rep movsb
    ret
    # From the end: the first 64 bytes and the last 16 are read before anything is written.
7:  movups xmm4, [rsi]
    movups xmm5, [rsi + 16]
    movups xmm6, [rsi + 32]
    movups xmm7, [rsi + 48]
    movups xmm8, [rsi + rdx - 16]
    lea r9, [rdi + rdx]
    lea r10, [rsi + rdx]
    lea r11, [rdi + 64]
    mov rcx, r9
    and rcx, 15
    sub r9, rcx
    sub r10, rcx
71: movups xmm0, [r10 - 16]
    movups xmm1, [r10 - 32]
    movups xmm2, [r10 - 48]
    movups xmm3, [r10 - 64]
    movaps [r9 - 16], xmm0
    movaps [r9 - 32], xmm1
    movaps [r9 - 48], xmm2
    movaps [r9 - 64], xmm3
    sub r9, 64
    sub r10, 64
    cmp r9, r11
    ja 71b
    movups [rdi], xmm4
    movups [rdi + 16], xmm5
    movups [rdi + 32], xmm6
    movups [rdi + 48], xmm7
    movups [rdi + rdx - 16], xmm8
    ret
8:  cmp edx, 8
    jb 81f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
81: cmp edx, 4
    jb 82f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
82: test edx, edx
    jz 84f
    movzx ecx, byte ptr [rsi]
    cmp edx, 2
    jb 83f
    movzx r8d, byte ptr [rsi + 1]
    movzx r9d, byte ptr [rsi + rdx - 1]
    mov [rdi + 1], r8b
    mov [rdi + rdx - 1], r9b
83: mov [rdi], cl
84: ret
    # All of that, twice as wide; what overlaps the other way is no more often than that.
9:  cmp rdx, 128
    ja 93f
    vmovups ymm0, [rsi]
    vmovups ymm1, [rsi + 32]
    vmovups ymm2, [rsi + rdx - 64]
    vmovups ymm3, [rsi + rdx - 32]
    vmovups [rdi], ymm0
    vmovups [rdi + 32], ymm1
    vmovups [rdi + rdx - 64], ymm2
    vmovups [rdi + rdx - 32], ymm3
    vzeroupper
    ret
93: cmp rdx, 256
    ja 94f
    vmovups ymm0, [rsi]
    vmovups ymm1, [rsi + 32]
    vmovups ymm2, [rsi + 64]
    vmovups ymm3, [rsi + 96]
    vmovups ymm4, [rsi + rdx - 128]
    vmovups ymm5, [rsi + rdx - 96]
    vmovups ymm6, [rsi + rdx - 64]
    vmovups ymm7, [rsi + rdx - 32]
    vmovups [rdi], ymm0
    vmovups [rdi + 32], ymm1
    vmovups [rdi + 64], ymm2
    vmovups [rdi + 96], ymm3
    vmovups [rdi + rdx - 128], ymm4
    vmovups [rdi + rdx - 96], ymm5
    vmovups [rdi + rdx - 64], ymm6
    vmovups [rdi + rdx - 32], ymm7
    vzeroupper
    ret
94: mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jb 7b
    neg rcx
    cmp rcx, rdx
    jb 95f
    cmp rdx, [rip + stratalloc_string_least]
    jae 6b
95: vmovups ymm4, [rsi + rdx - 128]
    vmovups ymm5, [rsi + rdx - 96]
    vmovups ymm6, [rsi + rdx - 64]
    vmovups ymm7, [rsi + rdx - 32]
    vmovups ymm8, [rsi]
    lea r9, [rdi + rdx - 128]
    mov rcx, rdi
    and rcx, 31
    sub rcx, 32
    sub rsi, rcx
    sub rdi, rcx
91: vmovups ymm0, [rsi]
    vmovups ymm1, [rsi + 32]
    vmovups ymm2, [rsi + 64]
    vmovups ymm3, [rsi + 96]
    vmovaps [rdi], ymm0
    vmovaps [rdi + 32], ymm1
    vmovaps [rdi + 64], ymm2
    vmovaps [rdi + 96], ymm3
    sub rsi, -128
    sub rdi, -128
    cmp rdi, r9
    jb 91b
    vmovups [r9], ymm4
    vmovups [r9 + 32], ymm5
    vmovups [r9 + 64], ymm6
    vmovups [r9 + 96], ymm7
    vmovups [rax], ymm8
    vzeroupper
    ret
    .cfi_endproc
    .size stratalloc_memmove, . - stratalloc_memmove

# int memcmp(const void *left, const void *right, size_t count), and bcmp, which asks for less
    .globl stratalloc_memcmp
    .hidden stratalloc_memcmp
    .type stratalloc_memcmp, @function
    .p2align 4
stratalloc_memcmp:
    .cfi_startproc
    xor ecx, ecx
2:  lea r8, [rcx + 16]
    cmp r8, rdx
    ja 4f
    movups xmm0, [rdi + rcx]
    movups xmm1, [rsi + rcx]
    pcmpeqb xmm0, xmm1
    pmovmskb eax, xmm0
    xor eax, 0xffff
    jnz 3f
    mov rcx, r8
    jmp 2b
3:  bsf eax, eax
    add rcx, rax
    movzx eax, byte ptr [rdi + rcx]
    movzx edx, byte ptr [rsi + rcx]
    sub eax, edx
    ret
4:  cmp rcx, rdx
    jae 5f
    movzx eax, byte ptr [rdi + rcx]
    movzx r8d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r8d
    jz 4b
    ret
5:  xor eax, eax
    ret
    .cfi_endproc
    .size stratalloc_memcmp, . - stratalloc_memcmp

# size_t strlen(const char *text)
    .globl stratalloc_strlen
    .hidden stratalloc_strlen
    .type stratalloc_strlen, @function
    .p2align 4
stratalloc_strlen:
    .cfi_startproc
    # Aligned reads never cross into a page that is not there; what lies before the text is masked.
    mov rcx, rdi
    mov rax, rdi
    and rax, -16
    and ecx, 15
    pxor xmm0, xmm0
    movdqa xmm1, [rax]
    pcmpeqb xmm1, xmm0
    pmovmskb edx, xmm1
    shr edx, cl
    test edx, edx
    jnz 3f
2:  add rax, 16
    movdqa xmm1, [rax]
    pcmpeqb xmm1, xmm0
    pmovmskb edx, xmm1
    test edx, edx
    jz 2b
    bsf edx, edx
    add rax, rdx
    sub rax, rdi
    ret
3:  bsf eax, edx
    ret
    .cfi_endproc
    .size stratalloc_strlen, . - stratalloc_strlen

    .popsection
