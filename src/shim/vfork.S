/* vfork: told to process.c, then the next definition's, reached by a jump.
 *
 * It returns twice, the first time in the child, which then uses the stack from here on: a C function that calls it would
 * find its own frame overwritten. So nothing is left on the stack, and the next vfork returns to our caller. */

        .text
        .globl  vfork
        .type   vfork, %function
vfork:
        .cfi_startproc
#if defined(__x86_64__)
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    process_before_vfork
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        jmp     *%rax
#elif defined(__aarch64__)
        stp     x29, x30, [sp, -16]!
        .cfi_adjust_cfa_offset 16
        .cfi_rel_offset 29, 0
        .cfi_rel_offset 30, 8
        bl      process_before_vfork
        ldp     x29, x30, [sp], 16
        .cfi_adjust_cfa_offset -16
        .cfi_restore 29
        .cfi_restore 30
        mov     x16, x0
        br      x16
#elif defined(__i386__)
        subl    $12, %esp
        .cfi_adjust_cfa_offset 12
        call    process_before_vfork
        addl    $12, %esp
        .cfi_adjust_cfa_offset -12
        jmp     *%eax
#else
#error "connspread knows x86-64, i386 and arm64 only"
#endif
        .cfi_endproc
        .size   vfork, . - vfork

        .hidden process_before_vfork
        .hidden process_our_vfork
        .globl  process_our_vfork
        .set    process_our_vfork, vfork

        .section .note.GNU-stack, "", %progbits
